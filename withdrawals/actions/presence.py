"""Being there: what a browser says every few seconds while a dialog or a trade's page is open.

Not audited: it changes nothing that anybody decides on, and a log of glances would drown what people did.
"""

from datetime import datetime, timedelta

from django.db import transaction

from withdrawals.models import Item, Presence, Trade, User

FORGOTTEN_AFTER = timedelta(minutes=10)


def mark_presence(*, actor: User, item_id: int | None, trade_id: int | None, now: datetime) -> None:
    """Note that `actor` has the item (or else the whole trade) open. Raises Item.DoesNotExist or Trade.DoesNotExist."""
    with transaction.atomic():
        item = None if item_id is None else Item.objects.select_related("trade").get(pk=item_id)
        trade = Trade.objects.get(pk=trade_id or 0) if item is None else item.trade
        _, is_new = Presence.objects.update_or_create(person=actor, trade=trade, item=item, defaults={"seen_at": now})
        if is_new:
            # Only one's own, so that two people never wait for each other's rows.
            Presence.objects.filter(person=actor, seen_at__lt=now - FORGOTTEN_AFTER).delete()


def end_presence(*, actor: User, item_id: int | None, trade_id: int | None) -> None:
    """`actor` has closed it. A browser that cannot say so any more is forgotten by time."""
    places = Presence.objects.filter(person=actor)
    if item_id is not None:
        places.filter(item=item_id).delete()
    else:
        places.filter(item=None, trade=trade_id).delete()
