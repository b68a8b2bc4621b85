"""Callbacks: what kind of message AssetPay sent, decided by the body alone.

An approval is AssetPay's question "may I buy this?": any 2xx releases the purchase, so only what is certainly news may
be called news. Source: AssetPay's callback guide and the event types of its SDK.
"""

from dataclasses import dataclass
from enum import StrEnum

from withdrawals.assetpay import suspicion
from withdrawals.assetpay.documents import NotUnderstood, parse_json
from withdrawals.assetpay.fields import plain_id
from withdrawals.assetpay.snapshots import TradeSnapshot, bounded_notes, note_unknown, read_trade
from withdrawals.assetpay.words import (
    AWAITING_APPROVAL,
    CRYPTO_DEPOSIT_STATUSES,
    CRYPTO_WITHDRAW,
    CRYPTO_WITHDRAWAL_STATUSES,
    DEPOSIT,
    STATUSES,
    WITHDRAW,
    Status,
)

__all__ = ["Callback", "Kind", "NotUnderstood", "is_url_test", "looks_like_approval", "open_callback"]

MAX_URL_TEST_LENGTH = 1024
MOST_OBJECTS_OF_A_STRANGER = 2_000

_CARRIERS = ("trade", "withdrawal", "deposit")
_URL_TEST_KEYS = frozenset({"test", "timestamp", "message"})


class Kind(StrEnum):
    """What a callback is about. An approval is never news."""

    WITHDRAWAL_APPROVAL = "withdrawal_approval"
    CRYPTO_APPROVAL = "crypto_approval"
    WITHDRAWAL_NEWS = "withdrawal_news"
    DEPOSIT_NEWS = "deposit_news"
    CRYPTO_WITHDRAWAL_NEWS = "crypto_withdrawal_news"
    CRYPTO_DEPOSIT_NEWS = "crypto_deposit_news"
    UNKNOWN_NEWS = "unknown_news"


@dataclass(frozen=True)
class Callback:
    """One opened callback.

    `subject_id` is AssetPay's id of the trade, payout or top-up it speaks of, None when it names none. `snapshot` is
    there for skin withdrawals only. `unknown` names what AssetPay's documentation does not, as in TradeSnapshot.
    """

    kind: Kind
    subject_id: str | None
    snapshot: TradeSnapshot | None
    unknown: tuple[str, ...]

    @property
    def is_approval(self) -> bool:
        """Whether AssetPay waits for a decision instead of telling something."""
        return self.kind in (Kind.WITHDRAWAL_APPROVAL, Kind.CRYPTO_APPROVAL)


def open_callback(body: bytes) -> Callback:
    """Return what a callback body says.

    Raises NotUnderstood for everything that is neither certainly news nor exactly an approval: broken JSON, wrongly
    typed or misspelt type or status, several subjects at once, an approval hidden inside something else.
    """
    message = parse_json(body)
    if not isinstance(message, dict):
        raise NotUnderstood("callback is no object")
    carriers = [key for key in _CARRIERS if key in message]
    if len(carriers) > 1:
        raise NotUnderstood("callback speaks of several subjects at once")
    rest = {key: value for key, value in message.items() if key not in carriers}
    if suspicion.hides_approval(rest) or suspicion.mentions_asking(rest):
        raise NotUnderstood("callback may hold an approval outside its subject")
    extras = tuple(f"callback.{key}" for key in rest)
    if not carriers:
        if suspicion.mentions_withdrawing(rest):
            raise NotUnderstood("callback of an unknown kind speaks of a withdrawal")
        return Callback(Kind.UNKNOWN_NEWS, None, None, bounded_notes(extras))
    (carrier,) = carriers
    subject = message[carrier]
    if not isinstance(subject, dict) or suspicion.has_lookalike_keys(subject):
        raise NotUnderstood(f"{carrier} is not the object it should be")
    if suspicion.hides_approval(list(subject.values())):
        raise NotUnderstood(f"{carrier} hides an approval")
    return _OPENERS[carrier](subject, extras)


def looks_like_approval(body: bytes) -> bool:
    """Whether an untrusted body might be an approval; never raises, and says yes when in doubt.

    Meant for bodies whose signature is bad: a 4xx to a genuine approval would reject a customer's withdrawal only
    because a secret of ours is wrong.
    """
    # Anybody may send this: what would be costly to judge is only sniffed at.
    if body.count(b"{") > MOST_OBJECTS_OF_A_STRANGER:
        return suspicion.smells_of_approval(body)
    try:
        return open_callback(body).is_approval
    except NotUnderstood:
        return suspicion.smells_of_approval(body)


def is_url_test(header: str | None, body: bytes) -> bool:
    """Whether this is the unsigned ping that AssetPay sends when a callback address is saved.

    `header` is the signature header, None when there was none. Source: AssetPay's SDK, webhook test.
    """
    if header is not None or len(body) > MAX_URL_TEST_LENGTH:
        return False
    try:
        message = parse_json(body)
    except NotUnderstood:
        return False
    return (
        isinstance(message, dict)
        and message.get("test") is True
        and message.keys() <= _URL_TEST_KEYS
        and not any(isinstance(value, dict | list) for value in message.values())
    )


def _open_trade(trade: dict[str, object], extras: tuple[str, ...]) -> Callback:
    type_, status = _word(trade, "type"), _word(trade, "status")
    if type_ == DEPOSIT:
        unknown = note_unknown("trade.status", STATUSES, status)
        return Callback(Kind.DEPOSIT_NEWS, _id_of(trade), None, bounded_notes([*unknown, *extras]))
    if type_ != WITHDRAW and suspicion.sounds_like_withdrawing(type_):
        raise NotUnderstood("trade resembles a withdrawal")
    if status not in STATUSES and suspicion.sounds_like_asking(status):
        raise NotUnderstood("trade resembles an approval")
    if type_ != WITHDRAW:
        if status == Status.INITIATED:
            raise NotUnderstood("trade of an unknown type may be an approval")
        return Callback(Kind.UNKNOWN_NEWS, _id_of(trade), None, bounded_notes([f"trade.type={type_}", *extras]))
    snapshot = read_trade(trade)
    kind = Kind.WITHDRAWAL_APPROVAL if status == Status.INITIATED else Kind.WITHDRAWAL_NEWS
    return Callback(kind, snapshot.id, snapshot, bounded_notes([*snapshot.unknown, *extras]))


def _open_crypto_withdrawal(withdrawal: dict[str, object], extras: tuple[str, ...]) -> Callback:
    status = _word(withdrawal, "status")
    if status not in CRYPTO_WITHDRAWAL_STATUSES and suspicion.sounds_like_asking(status):
        raise NotUnderstood("withdrawal resembles an approval")
    # AssetPay's SDK tells these apart by status alone: a type may be missing, but not be another one.
    if withdrawal.get("type", CRYPTO_WITHDRAW) != CRYPTO_WITHDRAW:
        raise NotUnderstood("withdrawal of an unknown type")
    kind = Kind.CRYPTO_APPROVAL if status == AWAITING_APPROVAL else Kind.CRYPTO_WITHDRAWAL_NEWS
    unknown = note_unknown("withdrawal.status", CRYPTO_WITHDRAWAL_STATUSES, status)
    return Callback(kind, _id_of(withdrawal), None, bounded_notes([*unknown, *extras]))


def _open_crypto_deposit(deposit: dict[str, object], extras: tuple[str, ...]) -> Callback:
    status = _word(deposit, "status")
    if status not in CRYPTO_DEPOSIT_STATUSES and suspicion.sounds_like_asking(status):
        raise NotUnderstood("deposit resembles an approval")
    if "type" in deposit and suspicion.sounds_like_withdrawing(_word(deposit, "type")):
        raise NotUnderstood("deposit resembles a withdrawal")
    unknown = note_unknown("deposit.status", CRYPTO_DEPOSIT_STATUSES, status)
    return Callback(Kind.CRYPTO_DEPOSIT_NEWS, _id_of(deposit), None, bounded_notes([*unknown, *extras]))


_OPENERS = {"trade": _open_trade, "withdrawal": _open_crypto_withdrawal, "deposit": _open_crypto_deposit}


def _word(subject: dict[str, object], key: str) -> str:
    value = subject.get(key)
    if not isinstance(value, str) or not value:
        raise NotUnderstood(f"{key} is missing or no text")
    return value


def _id_of(subject: dict[str, object]) -> str | None:
    try:
        return plain_id(subject.get("id"))
    except ValueError:
        return None
