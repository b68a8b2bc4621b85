"""Bodies that are well signed and hard to read, each with the one answer that both databases must give."""

import json
from typing import Any

from tests.desk import news
from tests.wire import item_document, trade_document

NEWS = news()


def replaced(old: bytes, new: bytes) -> bytes:
    """The plain news with one place written otherwise."""
    assert old in NEWS
    return NEWS.replace(old, new, 1)


def written(value: object) -> bytes:
    """As Python writes it, escapes and all."""
    return json.dumps(value).encode()


def trade(**fields: Any) -> bytes:
    """News of a trade with these fields on top."""
    return written({"trade": trade_document(**fields)})


def named(name: str) -> bytes:
    """News of an item of this name."""
    return trade(items=[item_document(marketHashName=name)])


# Malformed or not what AssetPay documents: it might be an approval, so 503.
NOT_UNDERSTOOD: dict[str, bytes] = {
    "nothing": b"",
    "a blank": b" ",
    "half an object": NEWS[: len(NEWS) // 2],
    "all but the last byte": NEWS[:-1],
    "a tail": NEWS + b"x",
    "twice over": NEWS * 2,
    "a trailing comma": replaced(b"}}", b"},}"),
    "single quotes": NEWS.replace(b'"', b"'"),
    "bare keys": b"{trade:{}}",
    "a comment": b"/* */" + NEWS,
    "null": b"null",
    "true": b"true",
    "false": b"false",
    "a number": b"7",
    "a text": b'"trade"',
    "an empty array": b"[]",
    "an array of news": b"[" + NEWS + b"]",
    "a trade that is null": written({"trade": None}),
    "a trade that is text": written({"trade": "withdraw"}),
    "a trade that is a number": written({"trade": 7}),
    "a trade that is an array": written({"trade": [trade_document()]}),
    "an empty trade": written({"trade": {}}),
    "the trade twice": b'{"trade":{},' + NEWS[1:],
    "a key twice inside": replaced(b'"status": "pending"', b'"status": "pending", "status": "pending"'),
    "a key twice in an item": replaced(b'"appid": 730', b'"appid": 730, "appid": 730'),
    "a key twice by escape": replaced(b'"status": "pending"', b'"status": "pending", "st\\u0061tus": "initiated"'),
    "NaN": replaced(b'"totalPrice": 12', b'"totalPrice": NaN'),
    "Infinity": replaced(b'"totalPrice": 12', b'"totalPrice": Infinity'),
    "minus Infinity": replaced(b'"totalPrice": 12', b'"totalPrice": -Infinity'),
    "1e400": replaced(b'"totalPrice": 12', b'"totalPrice": 1e400'),
    "1e-400": replaced(b'"totalPrice": 12', b'"totalPrice": 1e-400'),
    "an exponent beyond Decimal": replaced(b'"totalPrice": 12', b'"totalPrice": 1e99999999999999999999'),
    "5,000 digits": replaced(b'"totalPrice": 12', b'"totalPrice": ' + b"9" * 5_000),
    "5,000 decimals": replaced(b'"totalPrice": 12', b'"totalPrice": 0.' + b"3" * 5_000),
    "a price as text": replaced(b'"totalPrice": 12', b'"totalPrice": "12"'),
    "a price below nothing": replaced(b'"totalPrice": 12', b'"totalPrice": -12'),
    "a price that is true": replaced(b'"totalPrice": 12', b'"totalPrice": true'),
    "a leading zero": replaced(b'"totalPrice": 12', b'"totalPrice": 012'),
    "a leading plus": replaced(b'"totalPrice": 12', b'"totalPrice": +12'),
    "hexadecimal": replaced(b'"totalPrice": 12', b'"totalPrice": 0x0C'),
    "a byte order mark": b"\xef\xbb\xbf" + NEWS,
    "UTF-16": NEWS.decode().encode("utf-16"),
    "UTF-16, little end": NEWS.decode().encode("utf-16-le"),
    "UTF-16, big end": NEWS.decode().encode("utf-16-be"),
    "UTF-32": NEWS.decode().encode("utf-32"),
    "UTF-32, big end": NEWS.decode().encode("utf-32-be"),
    "invalid UTF-8": replaced(b"AK-47", b"AK-\xff\xfe"),
    "cut UTF-8": replaced(b"AK-47", b"AK-\xe2\x82"),
    "overlong UTF-8": replaced(b"AK-47", b"AK-\xc0\xaf"),
    "a surrogate in UTF-8": replaced(b"AK-47", b"AK-\xed\xa0\x80"),
    "a raw NUL": replaced(b"AK-47", b"AK-\x00"),
    "a raw line feed in text": replaced(b"AK-47", b"AK-\n"),
    "a bad escape": replaced(b"AK-47", b"AK-\\x41"),
    "half an escape": replaced(b"AK-47", b"AK-\\u00"),
    "NULs only": b"\x00" * 500,
    "all bytes": bytes(range(256)),
    "a text of 20 kB": replaced(b"AK-47", b"A" * 20_000),
    "a key of 20 kB": b'{"' + b"k" * 20_000 + b'":1}',
    "a missing id": trade(id=None),
    "an id of NUL": trade(id="\x00"),
    "an id that is a surrogate": trade(id="\ud800"),
    "an id that is too long": trade(id="x" * 129),
    "an id that is a number": trade(id=7),
    "items that are no list": trade(items={"a": 1}),
    "an item that is null": trade(items=[None]),
    "two items of one id": trade(items=[item_document(), item_document()]),
    "1,001 items": trade(items=[{"id": str(number)} for number in range(1_001)]),
    "a time of no calendar": trade(updatedAt="2026-02-30T00:00:00Z"),
    "a time before the calendar": trade(updatedAt="0001-01-01T00:00:00+14:00"),
    "a time without a zone": trade(updatedAt="2026-02-03T00:00:00"),
    "a time as a number": trade(updatedAt=1_767_225_600),
    **{f"{depth:,} deep": b'{"a":' * depth + b"1" + b"}" * depth for depth in (33, 100, 1_000, 5_000, 50_000, 150_000)},
    "an unknown key that is a surrogate": trade(**{"\ud800": 1}),
    "a million brackets": b"[" * 1_000_000,
    "a million closing brackets": b"]" * 1_000_000,
    "brackets in an open string": b'"' + b"[" * 900_000,
    "backslashes": b'"' + b"\\" * 999_999,
    "a million commas": b"[" + b"," * 1_000_000 + b"]",
}

# Odd, and still certainly news: 200.
UNDERSTOOD: dict[str, bytes] = {
    "blanks around": b" \n\t" + NEWS + b"\r\n ",
    "escaped keys": NEWS.replace(b'"trade"', b'"tr\\u0061de"', 1),
    "an escaped NUL": named("AK\x0047"),
    "a lone surrogate": named("AK \ud800 47"),
    "a lone low surrogate": named("AK \udfff 47"),
    "a pair of surrogates": named("AK \U0001f480 47"),
    "right to left": named("\u202eAK\u202c"),
    "zero width": named("A\u200bK\ufeff"),
    "a text of 16 kB": named("A" * 16_000),
    "no items": trade(items=[]),
    "1,000 items": trade(items=[{"id": str(number)} for number in range(1_000)]),
    "a price of thirty digits after the point": replaced(b'"totalPrice": 12', b'"totalPrice": 12.' + b"3" * 30),
    "a price of minus nothing": replaced(b'"totalPrice": 12', b'"totalPrice": -0.0'),
    "the first moment": trade(updatedAt="0001-01-01T00:00:00Z"),
    "the last moment": trade(updatedAt="9999-12-31T23:59:59.999Z"),
    "an app id beyond every column": trade(items=[item_document(appid=10**25)]),
    "deep, but not too deep": trade(extra=json.loads("[" * 20 + "]" * 20)),
    "a hundred unknown keys": trade(**{f"newKey{number}": number for number in range(100)}),
    "an unknown key of NUL": trade(**{"\x00": 1}),
    "an id of odd letters": trade(id="tr\u00e4d\u00e9 \u202e \U0001f480"),
    "an empty object": b"{}",
}
