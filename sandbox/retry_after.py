"""The forms a Retry-After header comes in."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Literal

A_DATE_SECONDS = 30


def retry_after_value(form: int | Literal["date", "absurd"], seconds: float = A_DATE_SECONDS) -> str:
    """The header's text: a number of seconds, an HTTP date so many seconds ahead, or ten years in seconds."""
    if form == "absurd":
        return str(10 * 365 * 24 * 3600)
    if form == "date":
        return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    return str(form)
