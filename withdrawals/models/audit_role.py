"""Which role somebody had when they acted: told by the log's own entries, which the chain of hashes covers."""

from collections.abc import Sequence
from itertools import pairwise

from django.db.models import Q

from withdrawals.models.audit import AuditEntry
from withdrawals.models.user import Role, User

TELLING = ("person.created", "person.role_changed")
Turn = tuple[int, str, str]


def acted_as(role: Role) -> Q:
    """The entries of people who had `role` at that moment.

    Of whom the log tells no change, the role they have now counts.
    """
    steady, found = [], Q(pk__in=[])
    have_it_now = set(User.objects.filter(groups__name=role).values_list("pk", flat=True))
    turns = _turns()
    for pk, email in User.objects.values_list("pk", "email"):
        told = turns.get(email, [])
        if len({had for turn in told for had in turn[1:]}) <= 1:
            is_steady = told[0][2] == role if told else pk in have_it_now
            steady += [pk] if is_steady else []
            continue
        for first, last in _spans(told, role):
            found |= Q(actor=pk, number__gt=first, **({} if last is None else {"number__lt": last}))
    return found | Q(actor__in=steady)


def _turns() -> dict[str, list[Turn]]:
    """By e-mail: at which entries a person's role became known, what it was before and is after."""
    turns: dict[str, list[Turn]] = {}
    rows = AuditEntry.objects.filter(action__in=TELLING).order_by("number")
    for number, before, after in rows.values_list("number", "before", "after"):
        email, now = str(after.get("email", "")), str(after.get("role", ""))
        turns.setdefault(email, []).append((number, str(before.get("role", now)), now))
    return turns


def _spans(told: Sequence[Turn], role: Role) -> list[tuple[int, int | None]]:
    """Between which entries, both left out, the role was this one; None: until today."""
    moments = [0, *(number for number, _, _ in told), None]
    held = [told[0][1], *(now for _, _, now in told)]
    return [
        (first or 0, last)
        for (first, last), roles in zip(pairwise(moments), held, strict=True)
        if role in roles.split(", ")
    ]
