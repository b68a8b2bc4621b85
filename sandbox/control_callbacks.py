"""Control over callbacks: sending them now, again, forged, dated, or with any body."""

from dataclasses import replace

from sandbox.control_inputs import Announcement, Approval, RawCallback
from sandbox.control_refusals import Misuse
from sandbox.control_trades import find_trade
from sandbox.deliveries import Delivery
from sandbox.sandbox import Sandbox
from sandbox.statuses import Status
from sandbox.wire import Json, dump, iso


def announce(sandbox: Sandbox, ref: str, wanted: Announcement) -> Json:
    """Queue a notice of the trade as it stands."""
    delivery = sandbox.callbacks.compose_trade(find_trade(sandbox, ref), copy_mark=wanted.copy_mark)
    return _post(sandbox, delivery, wanted)


def ask_approval(sandbox: Sandbox, ref: str, wanted: Approval) -> Json:
    """Ask the merchant whether to buy; the verdict follows as for a new withdrawal."""
    trade = find_trade(sandbox, ref)
    if trade.status is not Status.INITIATED or trade.type != "withdraw":
        raise Misuse(f"Trade {ref!r} is {trade.type} and {trade.status}: nothing to approve.")
    return {"deliveryId": sandbox.callbacks.ask_approval(trade, copy_mark=wanted.copy_mark).id}


def send(sandbox: Sandbox, wanted: RawCallback) -> Json:
    """Queue a callback with any body."""
    text = wanted.text if wanted.text is not None else dump(wanted.body).decode()
    delivery = sandbox.callbacks.compose(text, kind=wanted.kind, copy_mark=wanted.copy_mark)
    delivery.signed = wanted.signed
    return _post(sandbox, delivery, wanted)


def ping(sandbox: Sandbox) -> Json:
    """Queue the unsigned test that AssetPay sends when a callback URL is saved."""
    now = iso(sandbox.clock.now())
    body = {"test": True, "timestamp": now, "message": "Callback URL test"}
    delivery = sandbox.callbacks.compose(dump(body).decode(), copy_mark=False)
    delivery.signed = False
    return _post(sandbox, delivery, Announcement())


def resend(sandbox: Sandbox, ref: str, wanted: Announcement) -> Json:
    """Queue an earlier callback once more: the same bytes under the same id, unless told otherwise."""
    found = [each for each in sandbox.callbacks.queue.log() if each.id == ref]
    if not found:
        raise Misuse(f"There is no delivery {ref!r}.", status=404)
    again = replace(found[-1], state="waiting", due_at=sandbox.clock.now(), attempts=[], decides=False)
    if wanted.copy_mark is not None:
        again.copy_mark = wanted.copy_mark
    return _post(sandbox, again, wanted)


def shown(delivery: Delivery) -> Json:
    """A delivery with its attempts, for the log."""
    return {
        "deliveryId": delivery.id,
        "kind": delivery.kind,
        "tradeId": delivery.trade_id,
        "state": delivery.state,
        "copyMark": delivery.copy_mark,
        "forged": delivery.forged,
        "dueAt": iso(delivery.due_at),
        "body": delivery.body,
        "attempts": [
            {
                "deliveryId": attempt.delivery_id,
                "at": iso(attempt.at),
                "t": iso(attempt.t),
                "status": attempt.status,
                "answer": attempt.answer,
                "error": attempt.error,
            }
            for attempt in delivery.attempts
        ],
    }


def _post(sandbox: Sandbox, delivery: Delivery, wanted: Announcement) -> Json:
    delivery.id = wanted.delivery_id or delivery.id
    delivery.forged = wanted.forge
    delivery.stale_seconds = wanted.stale_seconds
    delivery.together = wanted.together
    sandbox.callbacks.post(delivery)
    for _ in range(wanted.duplicate):
        sandbox.callbacks.post(replace(delivery, state="waiting", attempts=[]))
    return {"deliveryId": delivery.id}
