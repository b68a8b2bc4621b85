"""What happens to the people of the desk."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.urls import reverse

from withdrawals.actions.audit import Fact, Origin, Value, record
from withdrawals.models import AuditEntry, Role, User

REPEATS_WITHIN = timedelta(minutes=1)


class PersonRefused(Exception):
    """Nobody was made; the sentence says why."""


def create_person(*, email: str, role: Role, password: str | None, origin: Origin, now: datetime) -> User:
    """A new person with one role. Without a password only a one-time link opens the account.

    Raises PersonRefused for an e-mail that is taken or none, or a password that is too weak.
    """
    email = email.strip().lower()
    try:
        validate_email(email)
        if password is not None:
            validate_password(password)
    except ValidationError as error:
        raise PersonRefused(" ".join(error.messages)) from error
    with transaction.atomic():
        if User.objects.filter(email__iexact=email).exists():
            raise PersonRefused(f"{email} already has an account.")
        person = User.objects.create_user(email, password)
        person.groups.add(Group.objects.get(name=role.value))
        fact = Fact("person.created", after={"email": email, "role": role.value})
        record([fact], origin=origin, now=now)
    return person


def renew_access(*, email: str, forget_factors: bool, origin: Origin, now: datetime) -> str:
    """The path of a one-time link for somebody who is here already; second factors are forgotten where asked for.

    Raises PersonRefused where nobody has this e-mail, or their account is off.
    """
    with transaction.atomic():
        person = User.objects.filter(email__iexact=email.strip(), is_active=True).first()
        if person is None:
            raise PersonRefused(f"Nobody with an open account has the e-mail {email}.")
        if forget_factors:
            Authenticator.objects.filter(user=person).delete()
        after: dict[str, Value] = {"email": person.email, "second_factor_reset": forget_factors}
        record([Fact("person.access_renewed", after=after)], origin=origin, now=now)
    return one_time_path(person)


def note_person_saved(*, person: User, changed: Sequence[str], origin: Origin, now: datetime) -> None:
    """Write down that somebody's account was changed by hand: which fields, and what the person may do now.

    In the transaction of the change, whose caller writes it.
    """
    roles = ", ".join(person.groups.order_by("name").values_list("name", flat=True))
    after: dict[str, Value] = {
        "email": person.email,
        "is_active": person.is_active,
        "is_superuser": person.is_superuser,
        "roles": roles,
        "fields": ", ".join(changed),
    }
    record([Fact("person.changed", after=after)], origin=origin, now=now)


def note_factor_changed(*, person: User, factor: str, added: bool, origin: Origin, now: datetime) -> None:
    """Write down that somebody set up or gave up a second factor; never what it is."""
    action = "person.factor_added" if added else "person.factor_removed"
    with transaction.atomic():
        after: dict[str, Value] = {"email": person.email, "factor": factor}
        record([Fact(action, after=after)], origin=origin, now=now)


def note_logged_in(*, person: User, methods: Sequence[str], origin: Origin, now: datetime) -> None:
    """Write down that somebody came in, and by what: a password, a code, a passkey."""
    with transaction.atomic():
        after: dict[str, Value] = {"email": person.email, "by": ", ".join(methods)}
        record([Fact("person.logged_in", after=after)], origin=origin, now=now)


def note_access_denied(*, permission: str, method: str, path: str, origin: Origin, now: datetime) -> None:
    """Write down that somebody wanted what their role does not allow; "POST" each time, reading once a minute.

    A page that was open when its reader lost their role asks again every few seconds.
    """
    after: dict[str, Value] = {"permission": permission, "method": method, "path": path[:200]}
    if method in ("GET", "HEAD"):
        lately = AuditEntry.objects.filter(actor=origin.actor).order_by("-number").values_list("action", "at", "after")
        for action, at, known in lately[:20]:
            repeats = known.get("permission") == permission and known.get("method") in ("GET", "HEAD")
            if action == "access.denied" and now - at < REPEATS_WITHIN and repeats:
                return
    with transaction.atomic():
        record([Fact("access.denied", after=after)], origin=origin, now=now)


def one_time_path(person: User) -> str:
    """The path of a page where this person, once, sets a password. It is void after the next log-in."""
    key = f"{user_pk_to_url_str(person)}-{default_token_generator.make_token(person)}"
    uid, token = key.split("-", 1)
    return reverse("account_reset_password_from_key", kwargs={"uidb36": uid, "key": token})
