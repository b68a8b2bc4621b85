"""JSON as AssetPay sends it, read without trust: money stays decimal, oddities are refused."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Never

import simplejson

MAX_DEPTH = 32
MAX_STRING_LENGTH = 16 * 1024
MAX_INTEGER_DIGITS = 30
MAX_NUMBER_LENGTH = 40

# A whole string, or a run of brackets outside one. Possessive, and content with a string that never ends, so that no
# input makes it look at a character twice.
_STRING_OR_BRACKETS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]++', re.DOTALL)
_OPENING = frozenset(b"[{")
_QUOTE = ord('"')
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class NotUnderstood(ValueError):
    """What came is not what AssetPay documents; `reason` says why without repeating the content."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parse_json(data: bytes) -> object:
    """Return the JSON value in `data`, with whole numbers as int and all others as Decimal.

    Raises NotUnderstood for anything but UTF-8 without a byte order mark, and for NaN, infinities, a key that occurs
    twice, nesting deeper than 32, and oversized strings and numbers. Python's own reader lets all of these pass.
    """
    if data.startswith(b"\xef\xbb\xbf"):
        raise NotUnderstood("starts with a byte order mark")
    # Fewer brackets than that cannot be nested deeper, nor fewer bytes hold a longer string.
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH:
        _check_depth(data)
    try:
        value: object = _decode(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise NotUnderstood("is not UTF-8") from None
    except json.JSONDecodeError:
        raise NotUnderstood("is not JSON") from None
    except (RecursionError, MemoryError):
        raise NotUnderstood("is more than this process can read") from None
    if len(data) > MAX_STRING_LENGTH and any(len(text) > MAX_STRING_LENGTH for text in texts_in(value)):
        raise NotUnderstood("holds a string that is too long")
    return value


def document_text(value: object) -> str:
    """Return `value` as one canonical line of ASCII JSON: sorted keys, decimals as number literals.

    Text is cleaned as by `clean_text`, since neither half of PostgreSQL's JSON support takes NUL or lone surrogates.
    """
    text = _dump(value)
    if "\\u0000" in text or "\\ud" in text:
        return _dump(_cleaned(value))
    return text


def clean_text(text: str) -> str:
    """Return `text` with U+FFFD in place of NUL and of lone surrogates, which a database may refuse."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def texts_in(value: object) -> Iterator[str]:
    """Yield every string in a parsed JSON value, keys included, at any depth."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict):
            yield from part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _check_depth(data: bytes) -> None:
    # Before the reader, not inside it: the reader recurses, and a million opening brackets must cost nothing.
    depth = 0
    for token in _STRING_OR_BRACKETS.finditer(data):
        run = token[0]
        if run[0] == _QUOTE:
            continue
        for bracket in run:
            depth += 1 if bracket in _OPENING else -1
            if depth > MAX_DEPTH:
                raise NotUnderstood("is nested too deeply")


def _integer(literal: str) -> int:
    if len(literal) > MAX_INTEGER_DIGITS:
        raise NotUnderstood("holds a whole number that is too long")
    return int(literal)


def _decimal(literal: str) -> Decimal:
    try:
        number = Decimal(literal) if len(literal) <= MAX_NUMBER_LENGTH else None
    except InvalidOperation:  # an exponent beyond what Decimal can hold
        number = None
    if number is None or abs(number.adjusted()) > MAX_INTEGER_DIGITS:
        raise NotUnderstood("holds a number out of all proportion")
    return number


def _refuse_constant(literal: str) -> Never:
    raise NotUnderstood(f"holds {literal}, which is not JSON")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotUnderstood("holds a key twice")
    return members


def _cleaned(value: object) -> object:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {clean_text(key): _cleaned(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_cleaned(member) for member in value]
    return value


# One each for all: making one costs as much as using it.
_decode = json.JSONDecoder(
    parse_int=_integer, parse_float=_decimal, parse_constant=_refuse_constant, object_pairs_hook=_object
).decode
_dump = simplejson.JSONEncoder(
    use_decimal=True, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":")
).encode
