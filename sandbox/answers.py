"""A call as it came in, the answer to it, and the way the answer goes out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sandbox.errors import KNOWN, Refused, http_status
from sandbox.switches import Switches
from sandbox.wire import failure

JSON = "application/json; charset=utf-8"


@dataclass(frozen=True)
class Call:
    """One request. Path values are percent-decoded; header names are in lower case."""

    method: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    request_id: str


@dataclass
class Answer:
    """Status, headers and body of a response."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = JSON
    # The error key, when it refuses.
    key: str | None = None
    # Whether the call changed the world.
    effect: bool = False


@dataclass
class Transmission:
    """How an answer leaves: whole, cut short, dripped, or not at all."""

    answer: Answer | None
    how: Literal["whole", "reset", "close", "truncated", "dripped"] = "whole"
    seconds: float = 0.0


def refusal(refused: Refused, request_id: str, switches: Switches) -> Answer:
    """The error envelope for a refusal with a known key."""
    return error_answer(
        request_id,
        key=refused.key,
        code=KNOWN[refused.key][1],
        status=http_status(refused.key, switches),
        message=refused.message,
        fields=refused.fields,
        headers=refused.headers,
    )


def error_answer(
    request_id: str,
    *,
    key: str,
    code: int,
    status: int,
    message: str,
    fields: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """An error envelope of any kind."""
    body = failure(request_id, code=code, key=key, message=message, fields=fields)
    return Answer(status, body, headers or {}, key=key)
