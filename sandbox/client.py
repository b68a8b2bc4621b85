"""A small typed client of the control interface, for tests and scripts."""

from decimal import Decimal
from typing import Any
from urllib.parse import quote

import httpx
import simplejson

from sandbox.authorities import trusted

type Json = dict[str, Any]


class ControlRefused(Exception):
    """The control interface said no; the text says why."""


class SandboxControl:
    """Makes the sandbox behind `base_url` do what AssetPay would do by itself."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")
        self._http = httpx.Client(base_url=f"{self.base_url}/_control", timeout=60, verify=trusted(), trust_env=False)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def reset(self) -> None:
        """Empty the world and go back to the switches the sandbox was started with."""
        self._call("POST", "/reset")

    def state(self) -> Json:
        """Everything: trades, agenda, switches, faults, listings."""
        return self._call("GET", "/state")

    def make_trade(self, **spec: Any) -> Json:
        """Make up a trade; returns it as the wire shows it."""
        trade: Json = self._call("POST", "/trades", spec)["trade"]
        return trade

    def change_trade(self, ref: str, **change: Any) -> Json:
        """Move or mend a trade; returns it."""
        trade: Json = self._call("POST", f"/trades/{_segment(ref)}", change)["trade"]
        return trade

    def change_item(self, ref: str, item_ref: str, **change: Any) -> Json:
        """Move or mend one item; returns its trade."""
        path = f"/trades/{_segment(ref)}/items/{_segment(item_ref)}"
        trade: Json = self._call("POST", path, change)["trade"]
        return trade

    def announce(self, ref: str, **wanted: Any) -> str:
        """Queue a notice of the trade; returns the delivery id."""
        return str(self._call("POST", f"/trades/{_segment(ref)}/announce", wanted)["deliveryId"])

    def ask_approval(self, ref: str, *, copy_mark: bool | None = None) -> str:
        """Queue an approval of the trade; returns the delivery id."""
        body = {"copy_mark": copy_mark}
        return str(self._call("POST", f"/trades/{_segment(ref)}/approval", body)["deliveryId"])

    def send(self, **wanted: Any) -> str:
        """Queue a callback with any `body` (or exact `text`); returns the delivery id."""
        return str(self._call("POST", "/callbacks/send", wanted)["deliveryId"])

    def ping(self) -> str:
        """Queue the unsigned URL test; returns the delivery id."""
        return str(self._call("POST", "/callbacks/ping")["deliveryId"])

    def resend(self, delivery_id: str, **wanted: Any) -> str:
        """Queue an earlier callback once more; returns the delivery id."""
        return str(self._call("POST", f"/deliveries/{_segment(delivery_id)}/resend", wanted)["deliveryId"])

    def flush(self, *, timeout_seconds: float = 30) -> bool:
        """Wait until everything due has been sent; False when that took too long."""
        return bool(self._call("POST", "/callbacks/flush", {"timeout_seconds": timeout_seconds})["idle"])

    def fault(self, kind: str, *, route: str = "any", times: int = 1, **details: Any) -> None:
        """Arm a fault for the next `times` calls of a route."""
        self._call("POST", "/faults", {"kind": kind, "route": route, "times": times, **details})

    def clear_faults(self) -> None:
        """Disarm every fault."""
        self._call("DELETE", "/faults")

    def switch(self, **switches: Any) -> Json:
        """Turn switches; returns all of them."""
        found: Json = self._call("PATCH", "/switches", switches)["switches"]
        return found

    def requests(self) -> list[Json]:
        """The API calls so far, oldest first."""
        found: list[Json] = self._call("GET", "/requests")["requests"]
        return found

    def deliveries(self) -> list[Json]:
        """The callbacks so far, with their attempts."""
        found: list[Json] = self._call("GET", "/deliveries")["deliveries"]
        return found

    def advance(self, seconds: float) -> None:
        """Let time pass at once, with everything that happens in it."""
        self._call("POST", "/clock", {"advance_seconds": seconds})

    def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        content = None if body is None else simplejson.dumps(body, use_decimal=True)
        answer = self._http.request(method, path, content=content)
        found: Json = simplejson.loads(answer.content, parse_float=Decimal)
        if answer.status_code != 200:
            raise ControlRefused(str(found.get("error", answer.text)))
        return found


def _segment(ref: str) -> str:
    return quote(ref, safe="")
