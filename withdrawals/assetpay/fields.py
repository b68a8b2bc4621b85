"""The kinds of field that AssetPay's trades are made of, as strict pydantic types.

Fields that carry identity, money, time or state are refused when they are wrongly typed; fields that are only looked at
become None, because no agent is helped by losing a whole trade over a colour.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, PlainValidator

from withdrawals.assetpay.documents import clean_text

MAX_ID_LENGTH = 128
MAX_WORD_LENGTH = 64
MAX_TEXT_LENGTH = 256
MAX_URL_LENGTH = 2048
MAX_MONEY = Decimal(10) ** 12
MAX_WHOLE_NUMBER = 2**31 - 1  # what an integer column holds

_ID = re.compile(r"[^\x00\ud800-\udfff]{1,128}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")


def plain_id(value: object) -> str:
    """Return an identifier of 1 to 128 characters; AssetPay's need not be UUIDs. Raises ValueError."""
    if isinstance(value, str) and _ID.fullmatch(value):
        return value
    raise ValueError("not an id")


def _optional_id(value: object) -> str | None:
    return None if value is None or value == "" else plain_id(value)


def _word(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("not a word")
    return clean_text(value)[:MAX_WORD_LENGTH]


def _optional_word(value: object) -> str | None:
    return None if value is None or value == "" else _word(value)


def _money(value: object) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("not an amount of money")  # noqa: TRY004 - pydantic collects ValueError, not TypeError
    amount = Decimal(value)
    if not (amount.is_finite() and 0 <= amount < MAX_MONEY):
        raise ValueError("not a sensible amount of money")
    return abs(amount)  # a minus zero is a zero


def _moment(value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise ValueError("not a moment with its offset from UTC")
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except OverflowError:
        raise ValueError("not a moment this calendar knows") from None


def _count(value: object) -> int | None:
    if value is None:
        return None
    amount = _money(value)
    if amount is None or amount != int(amount) or amount > MAX_WHOLE_NUMBER:
        raise ValueError("not a count")
    return int(amount)


def _label(value: object) -> str | None:
    return clean_text(value)[:MAX_TEXT_LENGTH] if isinstance(value, str) and value else None


def _address(value: object) -> str | None:
    # Half an address leads nowhere, so a longer one is dropped, not cut.
    text = clean_text(value) if isinstance(value, str) else ""
    return text if 0 < len(text) <= MAX_URL_LENGTH else None


def whole_number(value: object) -> int | None:
    """Return a count or code that an integer column holds, None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_WHOLE_NUMBER:
        return value
    return None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _object_or_none(value: object) -> object:
    return value if isinstance(value, dict) else None


Id = Annotated[str, PlainValidator(plain_id)]
OptionalId = Annotated[str | None, PlainValidator(_optional_id)]
Word = Annotated[str, PlainValidator(_word)]
OptionalWord = Annotated[str | None, PlainValidator(_optional_word)]
Money = Annotated[Decimal | None, PlainValidator(_money)]
Moment = Annotated[datetime | None, PlainValidator(_moment)]
Count = Annotated[int | None, PlainValidator(_count)]
Label = Annotated[str | None, PlainValidator(_label)]
Address = Annotated[str | None, PlainValidator(_address)]
WholeNumber = Annotated[int | None, PlainValidator(whole_number)]
Flag = Annotated[bool | None, PlainValidator(_flag)]
OnlyObject = BeforeValidator(_object_or_none)
