"""What AssetPay answers to a cancel: taken on, item by item. Nothing is undone at that moment yet.

Source: AssetPay's OpenAPI, ItemCancelResult and TradeCancelResult. Cancel answers spell `cancelled` with two Ls.
"""

import re
from dataclasses import dataclass

from withdrawals.assetpay.answers import FALLBACK_WAIT_SECONDS, Opened
from withdrawals.assetpay.documents import clean_text
from withdrawals.assetpay.errors import AssetPayError, OutcomeUnknown, Refused, TokenRejected, ToldToWait
from withdrawals.assetpay.fields import plain_id, whole_number
from withdrawals.assetpay.verdicts import Verdict, judge
from withdrawals.assetpay.wire import MAX_ITEMS

CANCELLED = "cancelled"
FAILED = "failed"

_STATUS_OF_A_NO = 400

_MAX_REASON_LENGTH = 128
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class CancelAnswer:
    """AssetPay took on the cancel of one item; the ids are the ones that were asked for."""

    trade_id: str
    item_id: str
    external_id: str | None
    request_id: str


@dataclass(frozen=True)
class ItemOutcome:
    """One item's part in a trade cancel: `status` is "cancelled" or "failed", `reason` an error key when it failed."""

    item_id: str
    external_id: str | None
    status: str
    reason: str | None


@dataclass(frozen=True)
class TradeCancelAnswer:
    """What became of each item of a trade cancel, which is best effort: mixed results are still a yes.

    The counts are AssetPay's; `requested` counts what its supplier thought cancellable and may be below the rest.
    """

    trade_id: str
    requested: int
    cancelled: int
    failed: int
    items: tuple[ItemOutcome, ...]
    request_id: str

    def of_item(self, item_id: str) -> CancelAnswer | AssetPayError:
        """What this answer says of one item, as an item cancel would have said it.

        An item that the answer does not name may have been done or not.
        """
        for outcome in self.items:
            if same_id(outcome.item_id, item_id):
                return self._as_item_answer(outcome, item_id)
        return OutcomeUnknown("The answer does not name this item.", 200, self.request_id, lost_answer=False)

    def _as_item_answer(self, outcome: ItemOutcome, item_id: str) -> CancelAnswer | AssetPayError:
        if outcome.status == CANCELLED:
            return CancelAnswer(self.trade_id, item_id, outcome.external_id, self.request_id)
        key, rid = outcome.reason or "", self.request_id
        # The reason is an error key without a status of its own; a trade cancel is a no under 4xx, as an item's is.
        match judge(key, None, _STATUS_OF_A_NO):
            case Verdict.TOKEN_REJECTED:
                return TokenRejected(key, None, "", rid, 200)
            case Verdict.WAIT:
                return ToldToWait(FALLBACK_WAIT_SECONDS, key, None, "", rid, 200, stated=False)
            case Verdict.UNKNOWN:
                return OutcomeUnknown(key, 200, rid, lost_answer=False)
            case _:
                return Refused(key, None, "" if key else "AssetPay says failed and names no reason.", rid, 200)


def read_item_cancel(opened: Opened, trade_id: str, item_id: str) -> CancelAnswer:
    """Return the answer to an item cancel; raises OutcomeUnknown when it does not name exactly what was asked."""
    data = opened.data
    if not isinstance(data, dict) or data.get("status") != CANCELLED:
        raise opened.doubt("answer does not say cancelled")
    if not (same_id(data.get("tradeId"), trade_id) and same_id(data.get("itemId"), item_id)):
        raise opened.doubt("answer names another trade or item than was asked")
    return CancelAnswer(trade_id, item_id, _id_or_none(data.get("externalId")), opened.request_id)


def read_trade_cancel(opened: Opened, trade_id: str) -> TradeCancelAnswer:
    """Return the answer to a trade cancel; raises OutcomeUnknown when it is not the documented one for this trade."""
    data = opened.data
    if not isinstance(data, dict) or not same_id(data.get("tradeId"), trade_id):
        raise opened.doubt("answer names another trade than was asked")
    entries = data.get("items")
    if not isinstance(entries, list) or len(entries) > MAX_ITEMS:
        raise opened.doubt("answer lists no items")
    items = tuple(_outcome(opened, entry) for entry in entries)
    if len({item.item_id for item in items}) != len(items):
        raise opened.doubt("answer lists an item twice")
    requested, cancelled, failed = (_count(opened, data, name) for name in ("requested", "cancelled", "failed"))
    return TradeCancelAnswer(trade_id, requested, cancelled, failed, items, opened.request_id)


def same_id(answered: object, asked: str) -> bool:
    """Whether AssetPay's id is the one we asked for; UUIDs may differ in case, free text may not."""
    return isinstance(answered, str) and (answered == asked or _uuid_key(answered) == _uuid_key(asked))


def _outcome(opened: Opened, entry: object) -> ItemOutcome:
    item_id = _id_or_none(entry.get("itemId")) if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or item_id is None or entry.get("status") not in (CANCELLED, FAILED):
        raise opened.doubt("answer leaves an item's outcome open")
    reason = entry.get("reason")
    return ItemOutcome(
        item_id=item_id,
        external_id=_id_or_none(entry.get("externalId")),
        status=CANCELLED if entry["status"] == CANCELLED else FAILED,
        reason=clean_text(reason)[:_MAX_REASON_LENGTH] if isinstance(reason, str) and reason else None,
    )


def _count(opened: Opened, data: dict[str, object], name: str) -> int:
    value = whole_number(data.get(name))
    if value is None:
        raise opened.doubt(f"answer has no count {name}")
    return value


def _id_or_none(value: object) -> str | None:
    try:
        return plain_id(value)
    except ValueError:
        return None


def _uuid_key(text: str) -> str:
    return text.lower() if _UUID.fullmatch(text) else text
