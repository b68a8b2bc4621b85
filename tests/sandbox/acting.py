"""The people of these tests: a merchant who receives callbacks, and a caller of the API."""

import hashlib
import hmac
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import httpx
import jwt

from sandbox.testing import RunningSandbox

Json = dict[str, Any]
PATIENCE = httpx.Timeout(10)


@dataclass
class Received:
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def trade(self) -> Json:
        found: Json = self.json["trade"]
        return found

    @property
    def signature(self) -> dict[str, str]:
        return dict(part.split("=", 1) for part in self.headers["x-assetpay-signature"].split(","))

    def is_signed_by(self, secret: str, part: str = "s") -> bool:
        signature = self.signature
        signed = signature["id"].encode() + b"." + signature["t"].encode() + b"." + self.body
        return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() == signature[part]


@dataclass
class Merchant:
    """Receives callbacks and answers as told: each status in `answers` once, then 200."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    answer_body: bytes = b""

    @property
    def trades(self) -> list[Json]:
        return [each.trade for each in self.received]

    def forget(self) -> None:
        self.received.clear()
        self.answers.clear()
        self.answer_body = b""


def open_shop() -> tuple[Merchant, ThreadingHTTPServer]:
    merchant = Merchant()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            merchant.received.append(Received({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(merchant.answers.pop(0) if merchant.answers else 200)
            self.send_header("content-length", str(len(merchant.answer_body)))
            self.end_headers()
            self.wfile.write(merchant.answer_body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    merchant.url = f"http://127.0.0.1:{server.server_port}/callbacks/assetpay/"
    return merchant, server


class Caller:
    """Calls the API as a merchant or as the customer behind a trade."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        self.sandbox = sandbox
        self.http = httpx.Client(base_url=sandbox.base_url, trust_env=False, timeout=PATIENCE)

    def token(self, trade: Json, **changes: Any) -> str:
        client = {"steamID": trade["clientSteamID"], "tradeUrl": trade["clientTradeUrl"]}
        claims = {
            "merchantId": self.sandbox.merchant_id,
            "client": client,
            "iat": int(time.time()),
            "exp": int(time.time()) + 600,
        }
        claims.update(changes.get("claims", {}))
        named = changes.get("user_id", self.sandbox.merchant_id)
        secret = changes.get("secret", self.sandbox.secret)
        return jwt.encode(claims, secret, headers={"typ": None, "userId": named})

    def as_customer(self, trade: Json) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(trade)}"}

    @property
    def as_merchant(self) -> dict[str, str]:
        return {"api-key": self.sandbox.api_key}

    def cancel(self, trade: Json, item: int = 0, headers: dict[str, str] | None = None) -> httpx.Response:
        path = f"/client/trading/withdraw/{segment(trade['id'])}/items/{segment(trade['items'][item]['id'])}"
        return self.http.post(f"{path}/cancel", headers=headers or self.as_customer(trade))

    def cancel_all(self, trade: Json) -> httpx.Response:
        path = f"/client/trading/withdraw/{segment(trade['id'])}/cancel"
        return self.http.post(path, headers=self.as_customer(trade))

    def read(self, *refs: str) -> httpx.Response:
        path = "/secure/trades/" + ",".join(segment(ref) for ref in refs)
        return self.http.get(path, headers=self.as_merchant)

    def read_trade(self, trade: Json) -> Json:
        found: Json = self.read(trade["id"]).json()["data"]
        return found


def segment(ref: str) -> str:
    return quote(ref, safe="")


def key(response: httpx.Response) -> str:
    found: str = response.json()["error"]["key"]
    return found
