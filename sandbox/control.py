"""The control interface: how tests and scripts make the world do what AssetPay would do by itself.

All under /_control/, JSON in and out; bodies are described in `control_inputs`, faults in `faults`, switches in
`switches`. Ids in paths are percent-encoded.

    POST   reset                        GET   state | requests | deliveries
    POST   trades                       POST  trades/{ref}  and  trades/{ref}/items/{item}
    POST   trades/{ref}/announce        POST  trades/{ref}/approval
    POST   callbacks/send | ping        POST  callbacks/flush
    POST   deliveries/{id}/resend       POST  clock
    POST   faults, DELETE faults        PATCH switches
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import simplejson
from pydantic import BaseModel, ValidationError

from sandbox import control_callbacks, control_trades
from sandbox.answers import Answer
from sandbox.control_inputs import (
    Announcement,
    Approval,
    ItemChange,
    NewTrade,
    Patience,
    RawCallback,
    Skip,
    TradeChange,
)
from sandbox.control_refusals import Misuse
from sandbox.faults import Fault
from sandbox.sandbox import Sandbox
from sandbox.switches import UnknownSwitch
from sandbox.wire import Json, dump, iso, trade_json

PREFIX = "/_control/"

type Body = dict[str, Any]


def answer_control(sandbox: Sandbox, method: str, target: str, body: bytes, *, loopback: bool) -> Answer:
    """Carry out one control call; mistakes are answered 4xx with a sentence in `error`."""
    if not loopback:
        return Answer(403, dump({"error": "The control interface answers on loopback only."}))
    try:
        segments = [unquote(part) for part in target.partition("?")[0].removeprefix(PREFIX).split("/")]
        data = _carry_out(sandbox, method, segments, _json_object(body))
    except Misuse as misuse:
        return Answer(misuse.status, dump({"error": str(misuse)}))
    except ValidationError as error:
        reasons = (f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in error.errors())
        return Answer(400, dump({"error": "; ".join(reasons)}))
    return Answer(200, dump(data))


def _carry_out(sandbox: Sandbox, method: str, segments: list[str], body: Body) -> Json:
    match method, segments:
        case "POST", ["callbacks", "flush"]:
            return {"idle": sandbox.callbacks.flush(_read(Patience, body).timeout_seconds)}
        case "POST", ["trades", ref, "items", item]:
            return _locked(sandbox, control_trades.change_item, ref, item, _read(ItemChange, body))
        case "POST", ["trades", ref, "announce"]:
            return _locked(sandbox, control_callbacks.announce, ref, _read(Announcement, body))
        case "POST", ["trades", ref, "approval"]:
            return _locked(sandbox, control_callbacks.ask_approval, ref, _read(Approval, body))
        case "POST", ["trades", ref]:
            return _locked(sandbox, control_trades.change_trade, ref, _read(TradeChange, body))
        case "POST", ["trades"]:
            return _locked(sandbox, control_trades.make_trade, _read(NewTrade, body))
        case "POST", ["callbacks", "send"]:
            return _locked(sandbox, control_callbacks.send, _read(RawCallback, body))
        case "POST", ["callbacks", "ping"]:
            return _locked(sandbox, control_callbacks.ping)
        case "POST", ["deliveries", ref, "resend"]:
            return _locked(sandbox, control_callbacks.resend, ref, _read(Announcement, body))
        case _:
            return _keep_house(sandbox, method, segments, body)


def _keep_house(sandbox: Sandbox, method: str, segments: list[str], body: Body) -> Json:
    match method, segments:
        case "POST", ["reset"]:
            sandbox.reset()
            return {}
        case "GET", ["state"]:
            return _locked(sandbox, _state)
        case "POST", ["faults"]:
            sandbox.faults.add(_read(Fault, body))
            return {"faults": sandbox.faults.waiting()}
        case "DELETE", ["faults"]:
            sandbox.faults.clear()
            return {"faults": []}
        case "PATCH", ["switches"]:
            return _locked(sandbox, _switch, body)
        case "GET", ["requests"]:
            return {"requests": list(sandbox.calls)}
        case "GET", ["deliveries"]:
            return {"deliveries": [control_callbacks.shown(each) for each in sandbox.callbacks.queue.log()]}
        case "POST", ["clock"]:
            sandbox.clock.advance(_read(Skip, body).advance_seconds)
            sandbox.world.settle()
            return {"now": iso(sandbox.clock.now())}
    raise Misuse(f"There is no {method} {PREFIX}{'/'.join(segments)}.", status=404)


def _locked(sandbox: Sandbox, act: Callable[..., Json], *args: object) -> Json:
    sandbox.world.settle()
    with sandbox.world.lock:
        return act(sandbox, *args)


def _read[T: BaseModel](kind: type[T], body: Body) -> T:
    return kind.model_validate(body)


def _json_object(body: bytes) -> Body:
    if not body.strip():
        return {}
    try:
        found = simplejson.loads(body, use_decimal=True)
    except ValueError as error:
        raise Misuse(f"The body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Misuse("The body must be a JSON object.")
    return found


def _switch(sandbox: Sandbox, patch: Body) -> Json:
    try:
        sandbox.world.switches = sandbox.world.switches.patched(patch)
    except UnknownSwitch as error:
        raise Misuse(str(error)) from None
    return {"switches": sandbox.world.switches.model_dump(mode="json")}


def _state(sandbox: Sandbox) -> Json:
    world = sandbox.world
    return {
        "now": iso(world.clock.now()),
        "merchantId": world.merchant_id,
        "switches": world.switches.model_dump(mode="json"),
        "faults": sandbox.faults.waiting(),
        "trades": [{**trade_json(trade), "sandbox": control_trades.behind(trade)} for trade in world.trades.values()],
        "agenda": [
            {
                "at": iso(due.at),
                "act": due.act,
                "tradeId": due.trade_id,
                "itemId": due.item_id,
                "status": due.status,
            }
            for due in sorted(world.agenda)
        ],
        "listings": [
            {"itemId": each.id, "game": each.game, "name": each.name, "price": each.price}
            for each in world.market.listings.values()
        ],
        "openDeliveries": len(sandbox.callbacks.queue.open()),
        # Whoever keeps an eye on them need not fetch them all to see that nothing came.
        "remembered": {"requests": len(sandbox.calls), "deliveries": len(sandbox.callbacks.queue.log())},
    }
