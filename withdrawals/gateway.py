"""Where our keys meet AssetPay's API. The only reader of the AssetPay settings and the only user of its client."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from withdrawals.assetpay.cancels import CancelAnswer, TradeCancelAnswer
from withdrawals.assetpay.client import AssetPayClient
from withdrawals.assetpay.errors import Refused
from withdrawals.assetpay.signature import BadSignature, Malformed, parse_header, self_test, verify
from withdrawals.assetpay.snapshots import TradeSnapshot
from withdrawals.assetpay.tokens import mint_client_token
from withdrawals.assetpay.wallet import Wallet
from withdrawals.models import Item, Route, Trade

__all__ = [
    "REFS_PER_READ",
    "CancelAnswer",
    "CannotAsk",
    "Fetched",
    "NotAuthentic",
    "ReadBack",
    "Seal",
    "TradeCancelAnswer",
    "Wallet",
    "cancel_item",
    "cancel_trade",
    "check_signature",
    "fetch_back",
    "fetch_trade",
    "fetch_trades",
    "fetch_wallet",
    "is_ref",
    "self_test",
    "trades_per_read",
]

log = logging.getLogger(__name__)

SOURCE_SELF = "self"
REFS_PER_READ = 100


class CannotAsk(Exception):
    """We lack what AssetPay needs to be asked at all (a trade URL, the api-key); nothing was sent."""


class NotAuthentic(Exception):
    """A callback whose signature does not hold; `reason` is one word for the trace."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Seal:
    """What a verified signature says: the delivery's id, when it was signed (UTC), and whether that is long ago."""

    delivery_id: str
    signed_at: datetime
    is_late: bool


@dataclass(frozen=True)
class Fetched:
    """A trade as AssetPay describes it now, and by which route it was read."""

    snapshot: TradeSnapshot
    route: Route

    @property
    def sha256(self) -> str:
        """Hash of the trade's document, hex."""
        return hashlib.sha256(self.snapshot.document.encode()).hexdigest()


@dataclass(frozen=True)
class ReadBack:
    """What a reading of known trades brought: those that AssetPay described, and its no for single customers."""

    fetched: tuple[Fetched, ...]
    refused: tuple[Refused, ...] = ()


def cancel_item(item: Item, *, request_id: UUID, now: datetime) -> CancelAnswer:
    """Ask AssetPay to cancel `item` (its trade loaded), once. An answer means that the supplier was asked.

    A customer's withdrawal takes that customer's token, the merchant's own takes the api-key (AssetPay's `source`).
    Raises CannotAsk, or what `withdrawals.assetpay.errors` lists.
    """
    _refuse_path_steps(item.trade.assetpay_id, item.assetpay_id)
    with _client() as client:
        if _is_merchants(item.trade):
            return client.cancel_item_as_merchant(
                trade_id=item.trade.assetpay_id, item_id=item.assetpay_id, request_id=str(request_id)
            )
        return client.cancel_item_as_client(
            trade_id=item.trade.assetpay_id,
            item_id=item.assetpay_id,
            token=_client_token(item.trade, now),
            request_id=str(request_id),
        )


def cancel_trade(trade: Trade, *, request_id: UUID, now: datetime) -> TradeCancelAnswer:
    """Ask AssetPay to cancel everything of `trade` that has not ended, once; the answer speaks for each item.

    By the same routes, and raising the same, as `cancel_item`.
    """
    _refuse_path_steps(trade.assetpay_id)
    with _client() as client:
        if _is_merchants(trade):
            return client.cancel_trade_as_merchant(trade_id=trade.assetpay_id, request_id=str(request_id))
        return client.cancel_trade_as_client(
            trade_id=trade.assetpay_id, token=_client_token(trade, now), request_id=str(request_id)
        )


def _refuse_path_steps(*ids: str) -> None:
    if {".", ".."} & set(ids):
        raise CannotAsk("This id cannot stand in an address, so AssetPay cannot be asked for it.")


def _is_merchants(trade: Trade) -> bool:
    if trade.source != SOURCE_SELF:
        return False
    if not settings.ASSETPAY_API_KEY:
        raise CannotAsk("The merchant's own trades need ASSETPAY_API_KEY, which is not set.")
    return True


def fetch_trades(refs: Sequence[str]) -> tuple[Fetched, ...]:
    """The trades that AssetPay knows among up to 100 ids or external ids; one that is missing is merely missing.

    Raises CannotAsk without an api-key, or what `withdrawals.assetpay.errors` lists.
    """
    if not settings.ASSETPAY_API_KEY:
        raise CannotAsk("Reading trades by id needs ASSETPAY_API_KEY, which is not set.")
    with _client() as client:
        return tuple(Fetched(snapshot, Route.SECURE) for snapshot in client.fetch_trades(refs))


def fetch_trade(trade: Trade, *, now: datetime) -> Fetched | None:
    """One trade as AssetPay describes it now; None where no route knows it.

    By the api-key first; without one, or where that route does not know the trade, as its customer (that address is
    on AssetPay's page of the item cancel, though not in its OpenAPI). Raises as `fetch_trades` does.
    """
    if settings.ASSETPAY_API_KEY and is_ref(trade.assetpay_id):
        found = fetch_trades([trade.assetpay_id])
        if found:
            return found[0]
    if trade.source == SOURCE_SELF:
        return None
    with _client() as client:
        snapshot = client.fetch_trade_as_client(
            trade_id=trade.assetpay_id, token_maker=lambda: _client_token(trade, now)
        )
    return None if snapshot is None else Fetched(snapshot, Route.CLIENT)


def trades_per_read() -> int:
    """How many trades one call reads back: a hundred by the api-key, one as a customer."""
    return REFS_PER_READ if settings.ASSETPAY_API_KEY else 1


def fetch_back(trades: Sequence[Trade], *, now: datetime) -> ReadBack:
    """Known trades as AssetPay describes them now, by the route that we have a key for; raises as `fetch_trades`."""
    if settings.ASSETPAY_API_KEY:
        return ReadBack(fetch_trades([trade.assetpay_id for trade in trades if is_ref(trade.assetpay_id)]))
    found, refused = [], []
    for trade in trades:
        try:
            fetched = fetch_trade(trade, now=now)
        except (CannotAsk, Refused) as error:
            # This one customer cannot be asked for; the next may.
            log.warning("trade %s cannot be read back: %s", trade.pk, error)
            refused += [error] if isinstance(error, Refused) else []
        else:
            found += [fetched] if fetched is not None else []
    return ReadBack(tuple(found), tuple(refused))


def fetch_wallet() -> Wallet:
    """The merchant's wallet as AssetPay has it now. Raises CannotAsk without an api-key, or as `fetch_trades` does."""
    if not settings.ASSETPAY_API_KEY:
        raise CannotAsk("Reading the wallet needs ASSETPAY_API_KEY, which is not set.")
    with _client() as client:
        return client.fetch_wallet()


def is_ref(text: str) -> bool:
    """Whether AssetPay's reading address can name this id: refs are joined by commas, and dots are steps in a path."""
    return "," not in text and text not in {".", ".."}


def check_signature(header: str, body: bytes, *, now: datetime) -> Seal:
    """What a callback's signature says, once it holds. Raises NotAuthentic.

    A time in the past beyond the tolerance is late, not wrong: AssetPay does not say whether a retry is signed anew.
    """
    try:
        parsed = parse_header(header)
        verify(parsed, body, [secret.encode() for secret in settings.ASSETPAY_API_SECRETS])
    except Malformed as error:
        raise NotAuthentic("malformed") from error
    except BadSignature as error:
        raise NotAuthentic("signature") from error
    age = now - parsed.signed_at
    tolerance = timedelta(seconds=settings.CALLBACK_TOLERANCE_SECONDS)
    if age < -tolerance:
        raise NotAuthentic("future")
    if age > max(tolerance, timedelta(seconds=settings.CALLBACK_LATE_SECONDS)):
        raise NotAuthentic("too_old")
    return Seal(parsed.delivery_id, parsed.signed_at, is_late=age > tolerance)


def _client() -> AssetPayClient:
    return AssetPayClient(
        base_url=settings.ASSETPAY_BASE_URL,
        api_key=settings.ASSETPAY_API_KEY,
        authorization_scheme=settings.ASSETPAY_AUTHORIZATION_SCHEME,
        timeout_seconds=float(settings.ASSETPAY_TIMEOUT_SECONDS),
    )


def _client_token(trade: Trade, now: datetime) -> str:
    try:
        return mint_client_token(
            secret=settings.ASSETPAY_API_SECRETS[0],
            merchant_id=settings.ASSETPAY_MERCHANT_ID,
            steam_id=trade.client_steam_id or "",
            trade_url=trade.client_trade_url or "",
            client_id=trade.external_client_user_id,
            now=now,
        )
    except ValueError as error:
        raise CannotAsk(f"No client token can be made for this customer: {error}") from error
