"""AssetPay's envelope, and what its answers say once it is opened."""

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime

from withdrawals.assetpay.documents import NotUnderstood, clean_text, parse_json
from withdrawals.assetpay.errors import AnswerTooLarge, OutcomeUnknown, Refused, TokenRejected, ToldToWait
from withdrawals.assetpay.fields import whole_number
from withdrawals.assetpay.transport import Answer
from withdrawals.assetpay.verdicts import Verdict, judge

MAX_MESSAGE_LENGTH = 2000
MAX_KEY_LENGTH = 128
MIN_WAIT_SECONDS = 1.0
MAX_WAIT_SECONDS = 600.0
FALLBACK_WAIT_SECONDS = 60.0

_SECONDS = re.compile(r"[0-9]{1,400}(\.[0-9]{1,20})?")


@dataclass(frozen=True)
class Opened:
    """The `data` of an envelope that says yes, with the request id to quote to AssetPay's support."""

    data: object
    request_id: str
    http_status: int

    def doubt(self, reason: str) -> OutcomeUnknown:
        """Return the error to raise when `data` is not the answer to what was asked."""
        return OutcomeUnknown(reason, self.http_status, self.request_id, lost_answer=False)


def open_answer(answer: Answer) -> Opened:
    """Return what a successful answer carries.

    Raises Refused, TokenRejected or ToldToWait for an envelope that says no, by its key, then its code; OutcomeUnknown
    for a redirect, for anything that is not the envelope, and for an envelope that contradicts its status. A 429 means
    "wait" even without an envelope. Source: AssetPay's OpenAPI, response envelope.
    """
    status = answer.http_status
    envelope = {} if 300 <= status < 400 else _envelope(answer)
    request_id = _text(envelope.get("requestId"), MAX_KEY_LENGTH) or _text(answer.request_id, MAX_KEY_LENGTH)
    error = envelope.get("error")
    if envelope.get("success") is True and "data" in envelope and error is None and 200 <= status < 300:
        return Opened(envelope["data"], request_id, status)
    if envelope.get("success") is False and isinstance(error, dict) and _text(error.get("key"), MAX_KEY_LENGTH):
        _raise_refusal(answer, error, request_id)
    if status == 429:
        seconds, stated = wait_seconds(answer)
        raise ToldToWait(seconds, "", None, "", request_id, status, stated)
    if answer.too_large:
        raise AnswerTooLarge(answer.defect, status, request_id, lost_answer=False)
    raise OutcomeUnknown(answer.defect or "answer is not AssetPay's envelope", status, request_id, lost_answer=False)


def wait_seconds(answer: Answer) -> tuple[float, bool]:
    """Return for how long to stay away (1 to 600 s), and whether AssetPay said so or it is our fallback.

    Retry-After comes as seconds or as a date; a date is measured against the answer's own Date, so that neither clock
    needs to be right.
    """
    text = (answer.retry_after or "").strip()
    if _SECONDS.fullmatch(text):
        asked = min(Decimal(text), Decimal(MAX_WAIT_SECONDS))
        return max(float(asked), MIN_WAIT_SECONDS), True
    until, now = _http_date(text), _http_date(answer.date or "")
    if until is None or now is None:
        return FALLBACK_WAIT_SECONDS, False
    return min(max((until - now).total_seconds(), MIN_WAIT_SECONDS), MAX_WAIT_SECONDS), True


def _envelope(answer: Answer) -> dict[str, object]:
    try:
        value = parse_json(answer.body) if answer.body is not None else None
    except NotUnderstood:
        return {}
    return value if isinstance(value, dict) else {}


def _raise_refusal(answer: Answer, error: dict[str, object], request_id: str) -> None:
    status = answer.http_status
    key = _text(error.get("key"), MAX_KEY_LENGTH)
    code = whole_number(error.get("code"))
    message = _message(error.get("message"))
    verdict = judge(key, code, status)
    if verdict is Verdict.TOKEN_REJECTED:
        raise TokenRejected(key, code, message, request_id, status)
    if verdict is Verdict.REFUSED:
        raise Refused(key, code, message, request_id, status)
    if verdict is Verdict.WAIT:
        seconds, stated = wait_seconds(answer)
        raise ToldToWait(seconds, key, code, message, request_id, status, stated)
    raise OutcomeUnknown(f"{key}: {message}"[:MAX_MESSAGE_LENGTH], status, request_id, lost_answer=False, key=key)


def _message(value: object) -> str:
    lines = value if isinstance(value, list) else [value]
    return _text("; ".join(line for line in lines if isinstance(line, str)), MAX_MESSAGE_LENGTH)


def _text(value: object, longest: int) -> str:
    return clean_text(value)[:longest] if isinstance(value, str) else ""


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return moment if moment.tzinfo is not None else None
