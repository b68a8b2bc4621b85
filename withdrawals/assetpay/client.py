"""AssetPay's HTTP API, one method per endpoint.

A cancel is sent once per call, whatever happens; repeating it is the caller's decision, under a permit of its own.
Reads are repeated a little by themselves.
"""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

import httpx
import stamina

from withdrawals.assetpay.answers import Opened, open_answer
from withdrawals.assetpay.cancels import CancelAnswer, TradeCancelAnswer, read_item_cancel, read_trade_cancel
from withdrawals.assetpay.errors import AnswerTooLarge, Refused, TokenRejected
from withdrawals.assetpay.reads import Health, read_health, read_page, read_several, read_single, worth_repeating
from withdrawals.assetpay.snapshots import TradeSnapshot
from withdrawals.assetpay.transport import Transport, path_segment
from withdrawals.assetpay.verdicts import NOT_FOUND, TRADE_NOT_FOUND
from withdrawals.assetpay.wallet import Wallet, read_wallet
from withdrawals.assetpay.words import GAME_CS2, GAME_RUST, WITHDRAW

MAX_REFS = 100
MAX_PAGE_SIZE = 100
MAX_PAGES = 1000
MAX_PATH_LENGTH = 6000  # common servers stop reading a request line at 8 kB
READ_ATTEMPTS = 3

_TRADE_NOT_FOUND_CODE = 21
_HEADER_TEXT = re.compile(r"[\x21-\x7e]*")

type TokenMaker = Callable[[], str]


class AssetPayClient:
    """Speaks to one AssetPay host for one merchant. Usable as a context manager; safe to share between threads.

    `timeout_seconds` bounds each wait for AssetPay; a call as a whole ends within about twice that. Every method
    raises the errors of `errors`, and ValueError before sending anything for an id that cannot stand in a path.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        authorization_scheme: str = "Bearer",
        timeout_seconds: float = 10.0,
        read_attempts: int = READ_ATTEMPTS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        for name, text in (("api_key", api_key), ("authorization_scheme", authorization_scheme)):
            if not _HEADER_TEXT.fullmatch(text):
                raise ValueError(f"{name} holds a character that a header cannot carry")
        self._secure_headers = {"api-key": api_key}
        self._authorization_prefix = f"{authorization_scheme} " if authorization_scheme else ""
        self._transport = Transport(base_url, timeout_seconds, transport)
        self._repeatedly = stamina.RetryingCaller(
            attempts=read_attempts, timeout=2 * timeout_seconds, wait_initial=0.2, wait_max=1.0, wait_jitter=0.3
        ).on(worth_repeating)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of open connections."""
        self._transport.close()

    def cancel_item_as_client(
        self, *, trade_id: str, item_id: str, token: str, request_id: str | None = None
    ) -> CancelAnswer:
        """Ask for one item of a customer's withdrawal to be cancelled: POST /client/trading/withdraw/…/items/…/cancel.

        A return means that the marketplace took the request, not that anything is undone. Ids are AssetPay's.
        """
        path = f"/client/trading/withdraw/{path_segment(trade_id)}/items/{path_segment(item_id)}/cancel"
        opened = self._call("POST", path, self._client_headers(token), request_id)
        return read_item_cancel(opened, trade_id, item_id)

    def cancel_item_as_merchant(self, *, trade_id: str, item_id: str, request_id: str | None = None) -> CancelAnswer:
        """Ask for one item of the merchant's own buy to be cancelled: POST /secure/buy/…/items/…/cancel."""
        path = f"/secure/buy/{path_segment(trade_id)}/items/{path_segment(item_id)}/cancel"
        opened = self._call("POST", path, self._secure_headers, request_id)
        return read_item_cancel(opened, trade_id, item_id)

    def cancel_trade_as_client(self, *, trade_id: str, token: str, request_id: str | None = None) -> TradeCancelAnswer:
        """Ask for all of a customer's withdrawal to be cancelled: POST /client/trading/withdraw/…/cancel."""
        path = f"/client/trading/withdraw/{path_segment(trade_id)}/cancel"
        opened = self._call("POST", path, self._client_headers(token), request_id)
        return read_trade_cancel(opened, trade_id)

    def cancel_trade_as_merchant(self, *, trade_id: str, request_id: str | None = None) -> TradeCancelAnswer:
        """Ask for all of the merchant's own buy to be cancelled: POST /secure/buy/…/cancel."""
        path = f"/secure/buy/{path_segment(trade_id)}/cancel"
        opened = self._call("POST", path, self._secure_headers, request_id)
        return read_trade_cancel(opened, trade_id)

    def fetch_trades(self, refs: Sequence[str]) -> tuple[TradeSnapshot, ...]:
        """Return the trades that AssetPay knows under up to 100 ids or external ids: GET /secure/trades/{refs}.

        Unknown refs are missing from the result. A batch whose address or answer would grow too long is asked for in
        halves. Raises ValueError for more refs, and for a ref that is empty, too long or holds a comma.
        """
        if len(refs) > MAX_REFS or any("," in ref for ref in refs):
            raise ValueError("at most 100 refs, none with a comma")
        segments = {ref: path_segment(ref) for ref in refs}
        return self._fetch(segments) if segments else ()

    def fetch_trade_as_client(self, *, trade_id: str, token_maker: TokenMaker) -> TradeSnapshot | None:
        """Return one of the customer's trades, None when AssetPay knows none: GET /client/trades/{id}.

        AssetPay's page on cancelling names this endpoint, its OpenAPI does not.
        """
        try:
            opened = self._read_as_client(f"/client/trades/{path_segment(trade_id)}", {}, token_maker)
        except Refused as no:
            if no.key in (TRADE_NOT_FOUND, NOT_FOUND):
                return None
            raise
        return read_single(opened, trade_id)

    def list_client_trades(
        self, *, token_maker: TokenMaker, game: str, type: str = WITHDRAW, limit: int = MAX_PAGE_SIZE
    ) -> Iterator[TradeSnapshot]:
        """Yield the customer's trades in one game, newest first, page by page: GET /client/trades.

        Stops at a cursor that is null or was seen before, and after 1,000 pages at the latest.
        """
        query = {"game": game, "type": type}
        seen: set[str | None] = {None}
        for _ in range(MAX_PAGES):
            try:
                opened = self._read_as_client("/client/trades", {**query, "limit": str(limit)}, token_maker)
            except AnswerTooLarge:
                if limit <= 1:
                    raise
                limit //= 2
                continue
            page = read_page(opened)
            yield from page.trades
            if page.next_cursor is None or page.next_cursor in seen:
                return
            seen.add(page.next_cursor)
            query["cursor"] = page.next_cursor

    def list_client_trades_of_all_games(
        self, *, token_maker: TokenMaker, type: str = WITHDRAW
    ) -> Iterator[TradeSnapshot]:
        """Yield the customer's trades in CS2, then in Rust: AssetPay's list takes one game and defaults to CS2."""
        for game in (GAME_CS2, GAME_RUST):
            yield from self.list_client_trades(token_maker=token_maker, game=game, type=type)

    def fetch_wallet(self) -> Wallet:
        """Return the merchant's own balances: GET /v1/wallets/me/balance."""
        return read_wallet(self._read("/v1/wallets/me/balance", self._secure_headers, {}))

    def health(self) -> Health:
        """Return how AssetPay says it is: GET /health, without any credentials."""
        return read_health(self._read("/health", {}, {}))

    def _fetch(self, segments: Mapping[str, str]) -> tuple[TradeSnapshot, ...]:
        refs = tuple(segments)
        path = "/secure/trades/" + ",".join(segments.values())
        if len(refs) > 1 and len(path) > MAX_PATH_LENGTH:
            return self._fetch_in_halves(segments)
        try:
            opened = self._read(path, self._secure_headers, {})
        except AnswerTooLarge:
            if len(refs) == 1:
                raise
            return self._fetch_in_halves(segments)
        except Refused as no:
            if no.key == TRADE_NOT_FOUND or no.code == _TRADE_NOT_FOUND_CODE:
                return ()
            raise
        # One ref is answered with an object, several with an array, even when only one of them was found.
        return (read_single(opened, refs[0]),) if len(refs) == 1 else read_several(opened, refs)

    def _fetch_in_halves(self, segments: Mapping[str, str]) -> tuple[TradeSnapshot, ...]:
        entries = list(segments.items())
        middle = len(entries) // 2
        return self._fetch(dict(entries[:middle])) + self._fetch(dict(entries[middle:]))

    def _read_as_client(self, path: str, query: Mapping[str, str], token_maker: TokenMaker) -> Opened:
        try:
            return self._read(path, self._client_headers(token_maker()), query)
        except TokenRejected:
            return self._read(path, self._client_headers(token_maker()), query)

    def _read(self, path: str, headers: Mapping[str, str], query: Mapping[str, str]) -> Opened:
        request_id = str(uuid.uuid4())  # one for all attempts, as AssetPay's SDK does

        def ask() -> Opened:
            return self._call("GET", path, headers, request_id, query)

        return self._repeatedly(ask)

    def _call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        request_id: str | None,
        query: Mapping[str, str] | None = None,
    ) -> Opened:
        sent_id = str(uuid.uuid4()) if request_id is None else request_id
        if uuid.UUID(sent_id).version != 4:
            raise ValueError("a request id must be a UUID of version 4")
        return open_answer(self._transport.send(method, path, headers=headers, query=query or {}, request_id=sent_id))

    def _client_headers(self, token: str) -> dict[str, str]:
        return {"Authorization": self._authorization_prefix + token}
