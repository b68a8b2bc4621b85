"""Notes that people leave on trades and items."""

from datetime import datetime

from django.db import transaction

from withdrawals.actions.audit import Fact, Origin, record
from withdrawals.models import Item, Note, Trade, User


def write_note(*, trade_id: int, item_id: int | None, text: str, actor: User, origin: Origin, now: datetime) -> Note:
    """A note on a trade, or on one item of it; it never changes. Raises Trade.DoesNotExist or Item.DoesNotExist."""
    with transaction.atomic():
        trade = Trade.objects.get(pk=trade_id)
        item = Item.objects.get(pk=item_id, trade=trade) if item_id else None
        note = Note.objects.create(trade=trade, item=item, author=actor, written_at=now, text=text)
        fact = Fact("note.written", trade=trade, item=item, after={"note": note.pk, "text": text})
        record([fact], origin=origin, now=now)
    return note
