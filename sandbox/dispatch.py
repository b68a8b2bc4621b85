"""From a request to what leaves in answer: routing, faults, the envelope, and the memory of calls."""

import sys
import traceback
import uuid
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

from sandbox.answers import Answer, Call, Transmission, refusal
from sandbox.desk import Desk, Done, Route
from sandbox.errors import Refused
from sandbox.faults import strike
from sandbox.routes import ROUTES
from sandbox.sandbox import Sandbox
from sandbox.wire import Json, iso, success

CANCELS = ("cancel_item", "cancel_trade")


def answer_call(sandbox: Sandbox, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Transmission:
    """Answer one request of AssetPay's API, remembering it before anything of the answer leaves."""
    raw_path, _, raw_query = target.partition("?")
    segments = [unquote(segment) for segment in raw_path.strip("/").split("/")]
    route, params = _find(method, segments)
    call = Call(
        method=method,
        path="/" + "/".join(segments),
        params=params,
        query=dict(parse_qsl(urlsplit("?" + raw_query).query, keep_blank_values=True)),
        headers=headers,
        body=body,
        request_id=_request_id(sandbox, headers),
    )
    name = route.name if route is not None else "unknown"
    entry = _remember(sandbox, call, name)
    fault = sandbox.faults.take(name, call.path)
    if fault is None:
        transmission = Transmission(_answer(sandbox, route, call, entry))
    else:
        entry["fault"] = fault.kind
        transmission = strike(fault, lambda: _answer(sandbox, route, call, entry), call.request_id, sandbox.pause)
    if transmission.answer is not None:
        transmission.answer.headers.setdefault("X-Request-Id", call.request_id)
    _note(entry, transmission)
    return transmission


def _find(method: str, segments: list[str]) -> tuple[Route | None, dict[str, str]]:
    for route in ROUTES:
        params = route.match(method, segments)
        if params is not None:
            return route, params
    return None, {}


def _answer(sandbox: Sandbox, route: Route | None, call: Call, entry: Json) -> Answer:
    sandbox.world.settle()
    with sandbox.world.lock:
        desk = Desk(sandbox, call, sandbox.clock.now())
        try:
            done = _perform(route, desk)
        except Refused as refused:
            return refusal(refused, call.request_id, sandbox.world.switches)
        except Exception:
            # Our own fault, and still an envelope: a caller should see what AssetPay would show it.
            sys.stderr.write(f"sandbox: {traceback.format_exc()}")
            broken = Refused("SERVER_ERROR", "Something went wrong inside the sandbox.")
            return refusal(broken, call.request_id, sandbox.world.switches)
        finally:
            entry["authenticatedAs"] = desk.caller
        entry["effect"] = done.effect
        return Answer(200, success(call.request_id, done.data), effect=done.effect)


def _perform(route: Route | None, desk: Desk) -> Done:
    if route is None:
        raise Refused("NOT_FOUND", "There is nothing at this address.")
    for name, value in desk.call.params.items():
        if not value or (name == "item" and len(value) > 128):
            raise Refused("VALIDATION_FAILED", f"{name}: bad value", fields={name: "bad value"})
    switches = desk.sandbox.world.switches
    spared = route.name == "health" or (route.name in CANCELS and not switches.maintenance_blocks_cancels)
    if switches.maintenance and not spared:
        raise Refused("SYSTEM_MAINTENANCE", "AssetPay is being maintained.")
    return route.answer(desk)


def _request_id(sandbox: Sandbox, headers: Mapping[str, str]) -> str:
    given = headers.get("x-request-id")
    if given and sandbox.world.switches.adopt_request_id:
        return given
    return str(uuid.uuid4())


def _remember(sandbox: Sandbox, call: Call, route: str) -> Json:
    entry: Json = {
        "time": iso(sandbox.clock.now()),
        "method": call.method,
        "path": call.path,
        "route": route,
        "requestId": call.request_id,
        "callerRequestId": call.headers.get("x-request-id"),
        "authenticatedAs": None,
        # None while no answer has left, and for good where none ever did.
        "status": None,
        "key": None,
        "effect": False,
        "fault": None,
    }
    sandbox.calls.append(entry)
    return entry


def _note(entry: Json, transmission: Transmission) -> None:
    if transmission.answer is not None and transmission.how != "reset":
        entry["status"] = transmission.answer.status
        entry["key"] = transmission.answer.key
