"""What AssetPay answers to a read, and when a read is worth repeating."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from withdrawals.assetpay.answers import Opened
from withdrawals.assetpay.cancels import same_id
from withdrawals.assetpay.documents import NotUnderstood, clean_text
from withdrawals.assetpay.errors import NotSent, OutcomeUnknown, ToldToWait
from withdrawals.assetpay.snapshots import TradeSnapshot, read_trade
from withdrawals.assetpay.verdicts import BUSY_KEYS

MAX_PATIENCE_SECONDS = 5.0

_MAX_CURSOR_LENGTH = 4096
_MAX_WORD_LENGTH = 64

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Health:
    """How AssetPay says it is: `status` is "ok" when well, `maintenance` the mode it names, None when it names none."""

    status: str
    maintenance: str | None


@dataclass(frozen=True)
class Page:
    """One page of a list; `next_cursor` is None on the last one."""

    trades: tuple[TradeSnapshot, ...]
    next_cursor: str | None


def worth_repeating(error: Exception) -> bool | float:
    """Whether a failed read may be sent again at once; a number is the wait in seconds that AssetPay asked for."""
    if isinstance(error, ToldToWait) and error.key in BUSY_KEYS:
        if error.stated:
            return error.seconds if error.seconds <= MAX_PATIENCE_SECONDS else False
        return True
    return isinstance(error, NotSent) or (isinstance(error, OutcomeUnknown) and error.lost_answer)


def read_single(opened: Opened, ref: str) -> TradeSnapshot:
    """Return the one trade that was asked for; raises OutcomeUnknown when it is unreadable or another one."""
    try:
        trade = read_trade(opened.data)
    except NotUnderstood as error:
        raise opened.doubt(f"trade not understood: {error.reason}") from None
    if not _is_named(trade, [ref]):
        raise opened.doubt("answer holds another trade than was asked")
    return trade


def read_several(opened: Opened, refs: Sequence[str]) -> tuple[TradeSnapshot, ...]:
    """Return the trades of a batch; those unreadable or not asked for are left out with a line in the log.

    One odd trade must not keep the others of its batch from being followed. Raises OutcomeUnknown for no array.
    """
    if not isinstance(opened.data, list) or len(opened.data) > len(refs):
        raise opened.doubt("answer is not the array of trades that was asked for")
    trades = _readable(opened.data, opened.request_id)
    asked = tuple(trade for trade in trades if _is_named(trade, refs))
    if len(asked) < len(trades):
        logger.warning("AssetPay answered with trades nobody asked for, request %s", opened.request_id)
    return asked


def read_page(opened: Opened) -> Page:
    """Return one page of a trade list; raises OutcomeUnknown when it is not the documented page."""
    data = opened.data
    if not isinstance(data, dict) or not isinstance(data.get("items"), list):
        raise opened.doubt("answer is not a page of trades")
    cursor = data.get("nextCursor")
    if cursor is not None and not (isinstance(cursor, str) and len(cursor) <= _MAX_CURSOR_LENGTH):
        raise opened.doubt("answer has no usable cursor")
    return Page(_readable(data["items"], opened.request_id), cursor or None)


def read_health(opened: Opened) -> Health:
    """Return AssetPay's health; raises OutcomeUnknown when the answer has no status. Modes are not documented."""
    data = opened.data
    status = data.get("status") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(status, str):
        raise opened.doubt("answer is not a health report")
    maintenance = data.get("maintenance")
    mode = maintenance.get("mode") if isinstance(maintenance, dict) else None
    return Health(_word(status), None if mode is None else _word(str(mode)))


def _readable(values: Iterable[object], request_id: str) -> tuple[TradeSnapshot, ...]:
    trades = []
    for value in values:
        try:
            trades.append(read_trade(value))
        except NotUnderstood as error:
            logger.warning("left out a trade from AssetPay, request %s: %s", request_id, error.reason)
    return tuple(trades)


def _is_named(trade: TradeSnapshot, refs: Sequence[str]) -> bool:
    return any(same_id(trade.id, ref) or trade.external_id == ref for ref in refs)


def _word(text: str) -> str:
    return clean_text(text)[:_MAX_WORD_LENGTH]
