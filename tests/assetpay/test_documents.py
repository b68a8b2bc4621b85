"""Reading JSON without trust."""

import time
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from withdrawals.assetpay.documents import NotUnderstood, clean_text, document_text, parse_json


def test_money_never_becomes_a_float():
    value = parse_json(b'{"price": 12.10, "count": 3, "rate": 1e-7}')

    assert value == {"price": Decimal("12.10"), "count": 3, "rate": Decimal("1e-7")}
    assert [type(member) for member in value.values()] == [Decimal, int, Decimal]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"{'a': 1}",
        b'{"a": 1} x',
        b'{"a": 1,}',
        b'{"a": "\x01"}',
        b'{"a": NaN}',
        b"[Infinity]",
        b"[-Infinity]",
        b'{"a": 1, "a": 2}',
        b'{"x": {"a": 1, "\\u0061": 2}}',
        b"\xef\xbb\xbf{}",
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-16-le"),
        '{"a": 1}'.encode("utf-32"),
        b"[" * 33 + b"]" * 33,
        b'{"a":' * 33 + b"1" + b"}" * 33,
        b"[" + b"9" * 31 + b"]",
        b"[" + b"9" * 5000 + b"]",
        b"[1e400]",
        b"[1e-400]",
        b"[0e400]",
        b"[1e999999999999999999999]",
        b"[0." + b"1" * 60 + b"]",
        b'["' + b"x" * 16385 + b'"]',
        b'{"' + b"x" * 16385 + b'": 1}',
    ],
)
def test_what_is_not_plain_json_is_not_understood(data):
    with pytest.raises(NotUnderstood):
        parse_json(data)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"[" * 32 + b"]" * 32, None),
        (b'["' + b"[" * 1000 + b'"]', ["[" * 1000]),
        (b'["\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["]', ['"' + "[" * 40]),
        (b'["' + b"x" * 16384 + b'"]', ["x" * 16384]),
        (b"[" + b"9" * 30 + b"]", [int("9" * 30)]),
        ('["é 🔫"]'.encode(), ["é 🔫"]),
        (b"null", None),
        (b'"alone"', "alone"),
    ],
)
def test_what_is_within_the_limits_is_read(data, value):
    read = parse_json(data)

    assert value is None or read == value


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b"[]" * 500_000,
        b'"' * 1_000_000,
        b"\\" * 1_000_000,
        b'"\\' * 500_000,
        b'"\\"' * 300_000,
        b"[" + b"9" * 1_000_000 + b"]",
        b"[1e" + b"9" * 1_000_000 + b"]",
    ],
    ids=["arrays", "objects", "siblings", "quotes", "slashes", "escapes", "strings", "digits", "exponent"],
)
def test_a_megabyte_meant_to_hurt_is_refused_at_once(data):
    began = time.process_time()

    with pytest.raises(NotUnderstood):
        parse_json(data)

    assert time.process_time() - began < 1


def test_a_reason_never_repeats_the_content():
    with pytest.raises(NotUnderstood) as caught:
        parse_json(b'{"token": "very-secret", "token": NaN}')

    assert "secret" not in str(caught.value)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\u0eE+-.1tfnul ', max_size=60).map(str.encode))
def test_any_bytes_are_either_read_or_not_understood(data):
    try:
        value = parse_json(data)
    except NotUnderstood:
        return

    assert parse_json(document_text(value).encode()) is not None or value is None


def test_a_document_is_one_canonical_line():
    value = parse_json('{"b": 1.50, "a": ["é", 10, null, true]}'.encode())

    assert document_text(value) == '{"a":["\\u00e9",10,null,true],"b":1.50}'


def test_a_document_survives_the_way_through_text():
    value = parse_json(b'{"a": 12.10, "b": [{"c": "x"}], "d": 0.000001}')

    assert parse_json(document_text(value).encode()) == value


def test_a_document_holds_nothing_that_a_database_refuses():
    value = parse_json(b'{"a\\u0000": "x\\ud800y", "b": ["\\u0000"], "c": "\\\\u0000", "gun": "\\ud83d\\udd2b"}')

    text = document_text(value)

    assert parse_json(text.encode()) == {"a\ufffd": "x\ufffdy", "b": ["\ufffd"], "c": "\\u0000", "gun": "🔫"}


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain", "plain"),
        ("a\x00b", "a\ufffdb"),
        ("\ud800", "\ufffd"),
        ("x\udfff", "x\ufffd"),
        ("🔫\u202e", "🔫\u202e"),
    ],
)
def test_only_what_a_database_refuses_is_replaced(text, cleaned):
    assert clean_text(text) == cleaned
