"""Faults on demand: what an outage, a proxy or a bad day makes of an ordinary answer."""

import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import simplejson
from pydantic import BaseModel, ConfigDict, Field

from sandbox.answers import Answer, Transmission, error_answer
from sandbox.errors import KNOWN
from sandbox.retry_after import retry_after_value
from sandbox.wire import dump

RouteName = Literal[
    "cancel_item",
    "cancel_trade",
    "read_trades",
    "client_trade",
    "list_trades",
    "create",
    "authenticate",
    "balance",
    "health",
    "any",
]
Kind = Literal[
    "reset_before",
    "reset_after",
    "hang",
    "slow",
    "status",
    "html",
    "empty",
    "truncated",
    "oversized",
    "slow_drip",
    "wrong_ids",
    "rate_limited",
    "maintenance",
    "token_expired",
    "error",
]

NEEDS_THE_ANSWER = frozenset({"reset_after", "truncated", "oversized", "slow_drip", "wrong_ids"})
DEFAULT_KEYS = {
    "status": "SERVER_ERROR",
    "error": "TRADE_NOT_CANCELLABLE",
    "rate_limited": "RATE_LIMITED",
    "maintenance": "SYSTEM_MAINTENANCE",
    "token_expired": "TOKEN_EXPIRED",
}
HTML = "<!doctype html><html><head><title>{0}</title></head><body><h1>{0}</h1><hr>edge</body></html>"


class Fault(BaseModel):
    """One fault, for the next `times` calls of a route."""

    model_config = ConfigDict(extra="forbid")

    route: RouteName = "any"
    kind: Kind
    times: int = Field(default=1, ge=1)
    # Only for calls whose decoded path contains this.
    path_contains: str = ""
    # Whether the call does its work before the fault strikes; None: as the kind implies.
    effect: bool | None = None
    seconds: float = Field(default=30, ge=0, le=600)
    status: int | None = Field(default=None, ge=200, le=599)
    key: str | None = None
    code: int | None = None
    message: str = "This answer was made up by a fault."
    retry_after: int | Literal["date", "absurd"] | None = None
    size: int = Field(default=10_000_000, ge=1, le=200_000_000)

    @property
    def has_effect(self) -> bool:
        """Whether the call does its work all the same."""
        return self.kind in NEEDS_THE_ANSWER or bool(self.effect)


class Faults:
    """The faults waiting to strike; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Arm a fault behind those already armed."""
        with self._lock:
            self._waiting.append(fault.model_copy())

    def clear(self) -> None:
        """Disarm everything."""
        with self._lock:
            self._waiting.clear()

    def waiting(self) -> list[dict[str, Any]]:
        """What is armed, with the times left."""
        with self._lock:
            return [fault.model_dump() for fault in self._waiting]

    def take(self, route: str, path: str) -> Fault | None:
        """The fault that strikes this call, used up by one."""
        with self._lock:
            for fault in self._waiting:
                if fault.route in ("any", route) and fault.path_contains in path:
                    fault.times -= 1
                    self._waiting = [each for each in self._waiting if each.times > 0]
                    return fault
        return None


def strike(
    fault: Fault, answer_ordinarily: Callable[[], Answer], request_id: str, pause: Callable[[float], None]
) -> Transmission:
    """What leaves instead of the ordinary answer."""
    if fault.kind == "slow":
        # The work itself is late: a caller who gives up cannot know that it will still be done.
        pause(fault.seconds)
        return Transmission(answer_ordinarily())
    ordinary = answer_ordinarily() if fault.has_effect else None
    if fault.kind == "hang":
        pause(fault.seconds)
        return Transmission(ordinary) if ordinary else Transmission(None, "close")
    if fault.kind in ("reset_before", "reset_after"):
        return Transmission(ordinary, "reset")
    if ordinary is not None and fault.kind in NEEDS_THE_ANSWER:
        return _mangled(fault, ordinary)
    answer = _made_up(fault, request_id)
    answer.effect = ordinary is not None and ordinary.effect
    return Transmission(answer)


def _mangled(fault: Fault, ordinary: Answer) -> Transmission:
    if fault.kind == "truncated":
        return Transmission(ordinary, "truncated")
    if fault.kind == "slow_drip":
        return Transmission(ordinary, "dripped", fault.seconds)
    envelope = simplejson.loads(ordinary.body, use_decimal=True)
    if fault.kind == "oversized":
        envelope["padding"] = "x" * fault.size
    else:
        envelope["data"] = _with_other_ids(envelope.get("data"))
    return Transmission(replace(ordinary, body=dump(envelope)))


def _with_other_ids(data: Any) -> Any:
    if isinstance(data, list):
        return [_with_other_ids(each) for each in data]
    if not isinstance(data, dict):
        return data
    return {
        name: str(uuid.uuid4()) if name in ("tradeId", "itemId", "id") else _with_other_ids(value)
        for name, value in data.items()
    }


def _made_up(fault: Fault, request_id: str) -> Answer:
    if fault.kind == "html":
        status = fault.status or 502
        page = HTML.format(f"{status} Bad Gateway" if status == 502 else status)
        return Answer(status, page.encode(), content_type="text/html; charset=utf-8")
    if fault.kind == "empty":
        return Answer(fault.status or 200, b"")
    key = fault.key or DEFAULT_KEYS[fault.kind]
    status, code = KNOWN.get(key, (400, 0))
    headers = {}
    if fault.retry_after is not None:
        headers["Retry-After"] = retry_after_value(fault.retry_after)
    return error_answer(
        request_id,
        key=key,
        code=code if fault.code is None else fault.code,
        status=fault.status or status,
        message=fault.message,
        headers=headers,
    )
