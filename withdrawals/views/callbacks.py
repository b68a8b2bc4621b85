"""AssetPay's door: the one address without a log-in. Its signature is the key."""

import logging
from datetime import datetime

import structlog
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from withdrawals.actions.deliveries import Call, CallRejected, answer_status, receive_delivery
from withdrawals.assetpay.callbacks import is_url_test

log = logging.getLogger(__name__)


@csrf_exempt  # AssetPay has no cookie; the signature is checked instead
@login_not_required
def receive(request: HttpRequest) -> HttpResponse:
    """POST /callbacks/assetpay/: keep, understand, answer. Never a 500, and for an approval only ever 503."""
    now = timezone.now()
    try:
        status = _receive(request, now)
    except Exception:
        # Ours to mend, AssetPay's to send again.
        log.exception("callback could not be received")
        status = 503
    response = HttpResponse(status=status)
    response.is_decided = True  # type: ignore[attr-defined] # read by withdrawals.middleware.callback_door
    # Django would log every 503 as an error; to an approval it is the right answer, and a fault is logged above.
    response._has_been_logged = True  # type: ignore[attr-defined]
    if status == 405:
        response.headers["Allow"] = "POST"
    return response


def _receive(request: HttpRequest, now: datetime) -> int:
    if request.method != "POST":
        return 405
    body = _read_body(request)
    if body is None:
        return 413
    signature = request.headers.get("X-AssetPay-Signature")
    if is_url_test(signature, body):
        return 200
    call = Call(
        signature=signature or "",
        body=body,
        remote_address=request.client_address,  # type: ignore[attr-defined] # set by withdrawals.middleware.RequestLog
        is_copy=request.headers.get("X-Callback-Copy") == "1",
        request_id=str(structlog.contextvars.get_contextvars().get("request_id", "")),
    )
    try:
        delivery = receive_delivery(call, now=now)
        # Into the line that is logged for this request.
        structlog.contextvars.bind_contextvars(delivery=delivery.pk, verdict=str(delivery.verdict))
        return answer_status(delivery)
    except CallRejected as error:
        return error.status


def _read_body(request: HttpRequest) -> bytes | None:
    """The raw bytes, or None where they are too many. Nothing may parse the request before."""
    most: int = settings.CALLBACK_MAX_BYTES
    if request.headers.get("Content-Length"):
        return request.body if int(request.headers["Content-Length"]) <= most else None
    # Sent in chunks: Django would read nothing, and every signature would fail.
    if request.META.get("wsgi.input_terminated"):
        body: bytes = request.META["wsgi.input"].read(most + 1)
        return body if len(body) <= most else None
    if request.headers.get("Transfer-Encoding"):
        raise UnreadablePostError("The body came in chunks, and this server does not pass them on.")
    return b""
