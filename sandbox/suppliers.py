"""The marketplaces behind AssetPay: each item's supplier follows a script once asked to cancel."""

from datetime import datetime, timedelta

from sandbox.errors import Refused
from sandbox.model import Due, Item, Script, Trade
from sandbox.rules import REASONS
from sandbox.statuses import OPEN, Status
from sandbox.world import World


def ask_supplier(world: World, trade: Trade, item: Item, now: datetime) -> bool:
    """Ask for a cancellation; True when this was the first time, False for a repeat while in flight.

    Nothing about the item changes yet: what becomes of it goes on the agenda. Raises Refused when the
    supplier says no.
    """
    script = item.supplier or trade.supplier
    if script is Script.REFUSE:
        raise Refused("TRADE_NOT_CANCELLABLE", REASONS["TRADE_NOT_CANCELLABLE"])
    if item.cancel_requested_at is not None:
        return False
    item.cancel_requested_at = now
    world.changes += 1
    delay = timedelta(seconds=_delay_seconds(world, trade, script))
    for steps, status in enumerate(_ending(script, item.status), start=1):
        world.schedule(Due(now + steps * delay, 0, "move", trade.id, item.id, status))
    return True


def _ending(script: Script, status: Status) -> list[Status]:
    """The statuses the item walks through, one delay apart."""
    if script is Script.SILENT:
        return []
    if script is Script.ACCEPT_CANCELED:
        return [Status.CANCELED]
    if script is Script.DELIVERS_ANYWAY:
        ahead = [step for step in OPEN[2:] if status not in OPEN or OPEN.index(step) > OPEN.index(status)]
        return [*ahead, Status.COMPLETED]
    return [Status.REVERTED]


def _delay_seconds(world: World, trade: Trade, script: Script) -> float:
    if trade.supplier_delay_seconds is not None:
        return trade.supplier_delay_seconds
    switches = world.switches
    return switches.late_seconds if script is Script.LATE else switches.supplier_delay_seconds
