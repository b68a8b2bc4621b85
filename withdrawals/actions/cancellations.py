"""What people and AssetPay's news do to cancellations. Sending them is in `withdrawals.actions.sending`."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Max

from withdrawals.actions.audit import Fact, Origin, Value, record
from withdrawals.actions.sending import drain_cancellations
from withdrawals.models import Cancellation, CancellationState, Item, User
from withdrawals.models.cancellation import OPEN_STATES


class CancelRefused(Exception):
    """The item cannot be cancelled; the sentence names the rule, or who was first and when."""


class UndoRefused(Exception):
    """It is too late to take the request back; the sentence says what happened instead."""


def request_cancellation(
    *,
    item_id: int,
    reason: str,
    note: str,
    actor: User,
    origin: Origin,
    now: datetime,
    number: int | None = None,
) -> Cancellation:
    """Ask for one item to be cancelled: intent, audit entry and wake-up in one transaction. Nothing leaves here.

    `number` is the count that the person's form was made for: a form that is sent again after its request has ended
    asks for nothing new. Raises CancelRefused, or Item.DoesNotExist.
    """
    with transaction.atomic():
        # The row lock keeps two clicks in line on PostgreSQL; SQLite's transactions are in line anyway. The unique
        # constraint holds without it.
        item = Item.objects.select_for_update(of=("self",), no_key=True).select_related("trade").get(pk=item_id)
        _refuse_second(item)
        refusal = item.cancel_refusal(now)
        if refusal is not None:
            raise CancelRefused(refusal.sentence)
        last = item.cancellations.aggregate(last=Max("number"))["last"] or 0
        if number is not None and number != last + 1:
            raise CancelRefused("This request was already made. The row below shows what became of it.")
        send_from = now + timedelta(seconds=settings.UNDO_SECONDS)
        try:
            with transaction.atomic():
                cancellation = Cancellation.objects.create(
                    item=item,
                    number=last + 1,
                    state=CancellationState.REQUESTED,
                    reason=reason,
                    note=note,
                    requested_by=actor,
                    requested_at=now,
                    changed_at=now,
                    send_from=send_from,
                )
        except IntegrityError as error:
            _refuse_second(item)
            raise CancelRefused("Somebody else asked for this a moment ago.") from error
        drain_cancellations.using(run_after=send_from).enqueue()
        after: dict[str, Value] = {
            "cancellation": str(CancellationState.REQUESTED),
            "number": cancellation.number,
            "note": note,
        }
        fact = Fact("cancellation.requested", item=item, after=after, reason=reason)
        record([fact], origin=origin, now=now)
    return cancellation


def _refuse_second(item: Item) -> None:
    first = item.cancellations.open().select_related("requested_by").first()
    if first is not None:
        raise CancelRefused(
            f"Already asked for by {first.requested_by} at {first.requested_at:%H:%M:%S} UTC: "
            f"{first.get_state_display().lower()}."
        )


def undo_cancellation(*, cancellation_id: int, actor: User, origin: Origin, now: datetime) -> Cancellation:
    """Take a request back before it leaves. Raises UndoRefused, or Cancellation.DoesNotExist."""
    with transaction.atomic():
        cancellation = Cancellation.objects.select_related("item__trade").get(pk=cancellation_id)
        row = Cancellation.objects.filter(pk=cancellation_id, state=CancellationState.REQUESTED)
        if not row.move(to=CancellationState.WITHDRAWN, now=now):
            raise UndoRefused(f"Too late to undo: {cancellation.get_state_display().lower()}.")
        before = {"cancellation": str(CancellationState.REQUESTED)}
        after = {"cancellation": str(CancellationState.WITHDRAWN)}
        fact = Fact("cancellation.withdrawn", item=cancellation.item, before=before, after=after, reason="Undo")
        record([fact], origin=origin, now=now)
    cancellation.refresh_from_db()
    return cancellation


def follow_items(items: Iterable[Item], *, now: datetime) -> list[Fact]:
    """End the open cancellation of each item that ended, in the caller's transaction.

    Undelivered confirms it, delivered overtakes it, whatever state it was in: the item's own end is the truth, and
    an answer that comes later changes nothing. Returns the facts for the caller to record.
    """
    ended = {item.pk: item for item in items if item.has_ended}
    facts: list[Fact] = []
    if not ended:
        return facts
    for cancellation in Cancellation.objects.open().filter(item__in=ended):
        item = ended[cancellation.item_id]
        end = CancellationState.CONFIRMED if item.ended_undelivered else CancellationState.OVERTAKEN
        row = Cancellation.objects.filter(pk=cancellation.pk, state__in=OPEN_STATES)
        if row.move(to=end, now=now, lease_until=None, may_resend=False, waits_for=""):
            before = {"cancellation": str(cancellation.state)}
            after = {"cancellation": str(end), "item_status": item.status}
            facts.append(Fact(f"cancellation.{end}", item=item, before=before, after=after))
    return facts
