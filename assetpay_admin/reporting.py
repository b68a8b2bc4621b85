"""Sentry, where a DSN is set: what failed and where, without what was in it."""

from typing import Any

import sentry_sdk
import structlog
from sentry_sdk.integrations.logging import ignore_logger

# What may leave: the kind of the failure and the way to it.
KEPT_OF_A_REQUEST = ("method",)
KEPT_TAGS = ("request_id", "delivery", "cancellation", "attempt")


def start_reporting(dsn: str) -> None:
    """Report unforeseen failures to `dsn`. Raises ValueError where that is no DSN."""
    # Logged beside the exception that they speak of, or no failure of ours.
    ignore_logger("django_structlog.middlewares.request")
    ignore_logger("django.security.DisallowedHost")
    sentry_sdk.init(
        dsn,
        send_default_pii=False,
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        traces_sample_rate=0,
        send_client_reports=False,
        auto_session_tracking=False,
        before_send=scrubbed,
    )


def scrubbed(event: Any, _hint: Any) -> Any:
    """The event without addresses, headers, cookies, names, arguments or the words of an exception.

    An exception's text may quote what a customer or AssetPay sent, and a log line's arguments too; their kind, file
    and line are enough to find the fault, and the request's id finds the log.
    """
    request = event.get("request", {})
    event["request"] = {name: request[name] for name in KEPT_OF_A_REQUEST if name in request}
    for name in ("user", "extra", "breadcrumbs", "server_name", "modules"):
        event.pop(name, None)
    event["contexts"] = {name: it for name, it in event.get("contexts", {}).items() if name in ("runtime", "trace")}
    ids = structlog.contextvars.get_contextvars()
    event["tags"] = {name: str(ids[name]) for name in KEPT_TAGS if name in ids}
    for failure in (event.get("exception") or {}).get("values", []):
        failure["value"] = ""
    if "logentry" in event:
        # The words of the source, before any value was put in; a structured line has none.
        words = str(event["logentry"].get("message", ""))
        event["logentry"] = {"message": "" if words.startswith("{") else words}
    return event
