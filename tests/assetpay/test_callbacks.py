"""Telling an approval from news. Calling an approval news releases money; the other mistake costs a retry."""

import json
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire import item_document, trade_document
from withdrawals.assetpay.callbacks import (
    Callback,
    Kind,
    NotUnderstood,
    is_url_test,
    looks_like_approval,
    open_callback,
)

CRYPTO = {"id": "p-1", "type": "crypto_withdraw", "status": "sent", "chain": "tron", "amountCents": 500}


def written(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def approval(**fields: object) -> dict[str, object]:
    return trade_document(status="initiated") | fields


def opened(value: object) -> Callback | None:
    """The callback, or None when it is not understood; any other exception fails the test."""
    try:
        return open_callback(value if isinstance(value, bytes) else written(value))
    except NotUnderstood:
        return None


def test_an_approval_carries_its_snapshot():
    callback = open_callback(written({"trade": approval(id="t-1")}))

    assert callback.kind is Kind.WITHDRAWAL_APPROVAL
    assert callback.is_approval
    assert callback.subject_id == "t-1"
    assert callback.snapshot.status == "initiated"


def test_a_crypto_cash_out_asks_as_well():
    callback = open_callback(written({"withdrawal": CRYPTO | {"status": "awaiting_approval"}}))

    assert callback.kind is Kind.CRYPTO_APPROVAL
    assert callback.is_approval
    assert callback.subject_id == "p-1"


@pytest.mark.parametrize(
    ("body", "kind", "subject_id"),
    [
        *(
            ({"trade": trade_document("t", status=status)}, Kind.WITHDRAWAL_NEWS, "t")
            for status in ("pending", "active", "hold", "completed", "failed", "canceled", "declined", "reverted")
        ),
        ({"trade": trade_document("t", status="frozen")}, Kind.WITHDRAWAL_NEWS, "t"),
        ({"trade": trade_document("t", items=[item_document(status="initiated")])}, Kind.WITHDRAWAL_NEWS, "t"),
        ({"trade": trade_document("t", items=[item_document(type="Sniper Rifle")])}, Kind.WITHDRAWAL_NEWS, "t"),
        ({"trade": trade_document("t"), "event": "withdraw.updated"}, Kind.WITHDRAWAL_NEWS, "t"),
        ({"trade": trade_document("t", someday={"deep": [1]})}, Kind.WITHDRAWAL_NEWS, "t"),
        *(
            ({"trade": trade_document("d", type="deposit", status=status)}, Kind.DEPOSIT_NEWS, "d")
            for status in ("initiated", "pending", "hold", "completed", "surprising")
        ),
        ({"trade": {"type": "deposit", "status": "initiated"}}, Kind.DEPOSIT_NEWS, None),
        ({"trade": trade_document("x", type="swap")}, Kind.UNKNOWN_NEWS, "x"),
        *(
            ({"withdrawal": CRYPTO | {"status": status}}, Kind.CRYPTO_WITHDRAWAL_NEWS, "p-1")
            for status in ("in_review", "approved", "sent", "completed", "failed", "rejected", "cancelled", "lost")
        ),
        *(
            ({"deposit": {"id": "c", "status": status}}, Kind.CRYPTO_DEPOSIT_NEWS, "c")
            for status in ("pending", "completed", "failed", "frozen", "refunded", "below_minimum", "lost")
        ),
        ({}, Kind.UNKNOWN_NEWS, None),
        ({"kyc": {"id": 1, "state": "done"}}, Kind.UNKNOWN_NEWS, None),
        ({"test": True, "timestamp": "2026-05-01T12:00:00Z", "message": "hello"}, Kind.UNKNOWN_NEWS, None),
    ],
)
def test_news_is_told_apart_by_type_and_status(body, kind, subject_id):
    callback = open_callback(written(body))

    assert callback.kind is kind
    assert callback.subject_id == subject_id
    assert not callback.is_approval
    assert (callback.snapshot is not None) == (kind is Kind.WITHDRAWAL_NEWS)


def test_what_is_new_in_a_callback_is_named():
    trade = open_callback(written({"trade": trade_document(status="frozen", newKey=1), "sequence": 4}))
    crypto = open_callback(written({"withdrawal": CRYPTO | {"status": "lost"}}))

    assert set(trade.unknown) == {"trade.status=frozen", "trade.newKey", "callback.sequence"}
    assert crypto.unknown == ("withdrawal.status=lost",)


TYPE_SLIPS = ["withdraw", "Withdraw", "WITHDRAW", " withdraw", "withdraw ", "with\u200bdraw", "withdrawal", "withdrawl"]
TYPE_SLIPS += [
    "withdraw\n",
    "w\u0131thdraw",
    "w\u0456thdraw",
    "WithDraw",
    "with_draw",
    "client_withdraw",
    "widthraw",
    "withdraw\x00",
]
STATUS_SLIPS = ["initiated", "Initiated", "INITIATED", " initiated", "initiated ", "initiated\t", "init\u200biated"]
STATUS_SLIPS += [
    "initiate",
    "initated",
    "initi\u0430ted",
    "\uff49nitiated",
    "initiated\x00",
    "awaiting_approval",
    "Awaiting Approval",
]
STATUS_SLIPS += ["needs_approval", "pending_approval", "to_be_approved", "awaiting", "initialized", "re-initiated"]
NO_WORDS = [None, 0, 1, True, False, "", [], {}, ["withdraw"], {"type": "withdraw"}, ["initiated"]]


def renamed(subject: dict[str, object], key: str, name: str) -> dict[str, object]:
    return {name if member == key else member: value for member, value in subject.items()}


def trade_mutants() -> list[object]:
    exact = ("withdraw", "initiated")
    slips = [pair for pair in product(TYPE_SLIPS, STATUS_SLIPS) if pair != exact]
    mutants: list[object] = [{"trade": approval(type=type_, status=status)} for type_, status in slips]
    mutants += [{"trade": approval(type=value)} for value in NO_WORDS]
    mutants += [{"trade": approval(status=value)} for value in NO_WORDS]
    mutants += [{"trade": approval(type=value, status=value)} for value in NO_WORDS]
    mutants += [
        {"trade": renamed(approval(), key, name)}
        for key in ("type", "status")
        for name in ("x", key.upper(), f" {key}")
    ]
    mutants += [
        {"trade": approval(type="deposit", **{name: "withdraw"})} for name in ("Type", "TYPE", " type", "type\u200b")
    ]
    mutants += [
        {"trade": approval(status="pending", **{name: "initiated"})} for name in ("Status", "STATUS", "status ")
    ]
    mutants += [{"trade": approval(type=type_)} for type_ in ("payout", "cashout", "purchase", "swap", "quick_buy")]
    return mutants


def wrapped_mutants() -> list[object]:
    gate, crypto = approval(), CRYPTO | {"status": "awaiting_approval"}
    news, deposit = trade_document(), {"id": "c", "status": "completed"}
    names = ["Trade", "TRADE", "trade ", " trade", "trades", "data", "payload", "event", "x"]
    mutants: list[object] = [{name: subject} for name in [*names, "Withdrawal"] for subject in (gate, crypto)]
    mutants += [{name: {"trade": gate}} for name in [*names, "trade", "withdrawal", "deposit"]]
    mutants += [{"a": {"b": [{"trade": gate}]}}, {"data": json.dumps({"trade": gate})}, {"deposit": gate}]
    mutants += [{"trade": subject} for subject in ([gate], [[gate]], json.dumps(gate), None, 7, True, [])]
    mutants += [{"withdrawal": gate}, {"deposit": crypto}, {"withdrawal": [crypto]}, {"trade": crypto}]
    mutants += [
        {"trade": gate, other: subject} for other in ("withdrawal", "deposit") for subject in (None, {}, deposit)
    ]
    mutants += [
        {"trade": news, "withdrawal": crypto},
        {"deposit": deposit, "trade": gate},
        {"deposit": deposit, "withdrawal": crypto},
    ]
    mutants += [{"deposit": deposit, name: gate} for name in names]
    mutants += [{"trade": news, name: gate} for name in names]
    mutants += [{"trade": trade_document(**{name: gate})} for name in ("trade", "nested", "inner")]
    mutants += [{"trade": trade_document(relatedTrades=[gate])}, {"deposit": deposit | {"trade": gate}}]
    mutants += [[{"trade": gate}], [gate], gate, crypto, json.dumps({"trade": gate}), {"test": True, "trade": gate}]
    mutants += [{"test": True, "message": {"trade": gate}}, {"test": True, "message": json.dumps(gate)}]
    return mutants


def crypto_mutants() -> list[object]:
    exact = ("crypto_withdraw", "awaiting_approval")
    types = [*TYPE_SLIPS, "crypto_withdraw", "Crypto_Withdraw", "crypto_withdraw ", "crypto", *NO_WORDS]
    pairs = [(type_, status) for type_ in types for status in STATUS_SLIPS if (type_, status) != exact]
    mutants: list[object] = [{"withdrawal": CRYPTO | {"type": type_, "status": status}} for type_, status in pairs]
    mutants += [{"withdrawal": CRYPTO | {"status": value}} for value in NO_WORDS]
    return mutants


def byte_mutants() -> list[object]:
    body = written({"trade": approval()})
    text = body.decode()
    mutants: list[object] = [body[:length] for length in range(len(body))]
    mutants += [text.encode(name) for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig")]
    mutants += [body + b"x", b"x" + body, body * 2, body + b"\x00", body.replace(b'"', b"'"), b"\xff" + body]
    mutants += [text.replace('"status": "initiated"', '"status": "initiated", "status": "pending"').encode()]
    mutants += [text.replace('"status": "initiated"', '"status": "pending", "status": "initiated"').encode()]
    mutants += [text.replace('"type": "withdraw"', '"type": "withdraw", "type": "deposit"').encode()]
    mutants += [text.replace('"totalPrice": 12', '"totalPrice": NaN').encode(), b"[" * 40 + body + b"]" * 40]
    return mutants


def test_no_mutant_of_an_approval_is_ever_news():
    mutants = [*trade_mutants(), *wrapped_mutants(), *crypto_mutants(), *byte_mutants()]
    assert len(mutants) > 1000

    called_news = [
        mutant for mutant in mutants if (callback := opened(mutant)) is not None and not callback.is_approval
    ]

    assert called_news == []


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"trade": trade_document()}},
        {"Trade": trade_document()},
        {"withdrawals": [CRYPTO]},
        {"trade": trade_document(type="Withdraw")},
        {"trade": trade_document(type="withdrawal")},
        {"trade": trade_document(type="with draw")},
        {"withdrawal": CRYPTO | {"type": "withdraw"}},
        {"withdrawal": CRYPTO | {"type": None}},
        {"deposit": {"id": "c", "type": "crypto_withdraw", "status": "completed"}},
        {"deposit": {"id": "c", "status": "awaiting_approval"}},
        {"deposit": {"id": "c", "status": None}},
        {"deposit": {"id": "c", "status": "completed", "of": {"type": "withdraw"}}},
        {"deposit": {"id": "c", "status": "completed", "of": {"type": "withdraw", "status": ["initiated"]}}},
    ],
    ids=lambda value: "",
)
def test_a_withdrawal_in_unfamiliar_dress_is_not_news(body):
    assert opened(body) is None


def test_a_crypto_payout_without_a_type_is_told_by_its_status():
    without = {key: value for key, value in CRYPTO.items() if key != "type"}

    assert open_callback(written({"withdrawal": without})).kind == Kind.CRYPTO_WITHDRAWAL_NEWS
    asking = without | {"status": "awaiting_approval"}
    assert open_callback(written({"withdrawal": asking})).kind == Kind.CRYPTO_APPROVAL


def test_an_approval_with_additions_is_still_an_approval():
    plain = written({"trade": approval()})
    additions = [
        written({"trade": approval(newKey=1, action="approve"), "sequence": 1}),
        plain.replace(b"withdraw", b"\\u0077ithdraw"),
        plain.replace(b"initiated", b"initi\\u0061ted"),
        b"\n " + plain + b"\r\n",
    ]

    assert [opened(body).kind for body in additions] == [Kind.WITHDRAWAL_APPROVAL] * len(additions)


@pytest.mark.parametrize("broken", [{"items": "none"}, {"totalPrice": "12"}, {"id": None}, {"updatedAt": "soon"}])
@pytest.mark.parametrize("status", ["initiated", "pending"])
def test_a_withdrawal_that_cannot_be_read_is_not_news(broken, status):
    assert opened({"trade": trade_document(status=status) | broken}) is None


def test_deeply_nested_and_oversized_bodies_are_not_understood():
    assert opened(b'{"trade":' * 100_000) is None
    assert opened(b'{"trade":{"type":"withdraw","status":"pending","id":"' + b"x" * 20_000 + b'"}}') is None


def test_unheard_of_words_are_still_news():
    words = [f"{name}{number}" for name in ("word_", "NEW", "a.b-") for number in range(70)]

    callbacks = {
        word: open_callback(written({"trade": trade_document(status=word, source=word, error=word, revertedBy=word)}))
        for word in words
    }

    assert {callback.kind for callback in callbacks.values()} == {Kind.WITHDRAWAL_NEWS}
    assert all(f"trade.status={word}" in callback.unknown for word, callback in callbacks.items())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_judged_without_an_accident(body):
    callback = opened(body)

    assert callback is None or callback.kind is Kind.UNKNOWN_NEWS
    assert looks_like_approval(body) in (True, False)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_approval_is_never_news(data):
    body = written({"trade": approval(items=[])})
    place = data.draw(st.integers(0, len(body) - 1))
    damaged = body[:place] + data.draw(st.binary(max_size=3)) + body[place + data.draw(st.integers(0, 4)) :]

    callback = opened(damaged)

    assert callback is None or callback.is_approval


@pytest.mark.parametrize("junk", ["", "x", "xyz"])
def test_no_status_that_lost_four_letters_of_initiated_is_news(junk):
    word = "initiated"
    damaged = {word[:place] + junk + word[place + lost :] for place in range(len(word)) for lost in range(5)}

    news = [status for status in damaged - {word} if opened({"trade": approval(status=status)}) is not None]

    assert news == []


@pytest.mark.parametrize(
    "status", ["frozen", "queued", "teleporting", "delegated", "on_ice", "escrowed", "quarantined"]
)
def test_an_unknown_status_that_sounds_like_no_question_is_news(status):
    assert opened({"trade": trade_document(status=status)}).kind == Kind.WITHDRAWAL_NEWS


def test_a_badly_signed_approval_is_recognised_however_damaged():
    bodies = [written({"trade": approval()}), written({"withdrawal": CRYPTO | {"status": "awaiting_approval"}})]
    readable_from = {body: body.index(b'": {') for body in bodies}

    missed = [
        damaged
        for body in bodies
        for damaged in [
            *(body[:length] for length in range(readable_from[body], len(body) + 1)),
            *(body.decode().encode(name) for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig")),
            body.upper(),
            b"\xff\xfe" + body,
            body.replace(b'"', b""),
            body.replace(b"w", b"\\u0077").replace(b"p", b"\\u0070"),
            b"payload=" + body,
        ]
        if not looks_like_approval(damaged)
    ]

    assert missed == []


@pytest.mark.parametrize(
    "mutant", [*trade_mutants()[::7], *wrapped_mutants()[::3], *crypto_mutants()[::7]], ids=lambda value: ""
)
def test_a_badly_signed_lookalike_is_treated_as_an_approval(mutant):
    assert looks_like_approval(written(mutant))


@pytest.mark.parametrize(
    "body",
    [
        written({"trade": trade_document()}),
        written({"trade": trade_document(status="frozen", items=[item_document(status="initiated")])}),
        written({"trade": trade_document(type="deposit", status="initiated")}),
        written({"withdrawal": CRYPTO}),
        written({"deposit": {"id": "c", "status": "completed"}}),
        written({"test": True}),
        b"",
        b"{}",
        b"[]",
        b"null",
        b"hello",
        b"\x00" * 100,
        b"\xff" * 100,
        bytes(range(256)) * 4,
        b"<!doctype html><title>404</title>",
        b"[" * 100_000,
        b'{"a": NaN}',
    ],
)
def test_plain_news_and_junk_do_not_look_like_approvals(body):
    assert not looks_like_approval(body)


PING = {"test": True, "timestamp": "2026-05-01T12:00:00.000Z", "message": "Callback URL test"}


@pytest.mark.parametrize("keys", [("test",), ("test", "timestamp"), ("test", "message"), tuple(PING)])
def test_the_ping_of_a_saved_address_is_recognised(keys):
    assert is_url_test(None, written({key: PING[key] for key in keys}))


def not_quite_pings() -> list[bytes]:
    values = [False, None, 0, 1, "true", "True", "", [], [True], {}, {"test": True}]
    others = ["trade", "withdrawal", "deposit", "Test", "test ", "x", "event", "data", "timestamp ", ""]
    bodies = [PING | {"test": value} for value in values]
    bodies += [PING | {key: value} for key in others for value in [*values, approval(), trade_document()]]
    bodies += [PING | {key: value} for key in ("timestamp", "message") for value in ([], {}, [PING], approval())]
    bodies += [
        {"data": PING},
        [PING],
        PING | {"message": "x" * 1024},
        {key: PING[key] for key in ("timestamp", "message")},
    ]
    raw = [json.dumps(body).encode() for body in bodies]
    ping = json.dumps(PING).encode()
    raw += [ping[:length] for length in range(len(ping))]
    raw += [ping + b"x", ping * 2, ping.decode().encode("utf-16"), b"\xef\xbb\xbf" + ping, b"test=true", b"true", b""]
    raw += [b'{"test": true, "test": true}', b'{"test": false, "test": true}', ping + b" " * 1024, b'{"test": True}']
    return raw


def test_nothing_but_the_exact_ping_is_taken_for_it():
    variants = not_quite_pings()
    assert len(variants) > 250

    taken = [body for body in variants if is_url_test(None, body)]

    assert taken == []


@pytest.mark.parametrize("header", ["", "t=2026-05-01T12:00:00Z,id=a,s=" + "0" * 64, "nonsense"])
def test_a_signed_ping_is_an_ordinary_body(header):
    body = written(PING)

    assert not is_url_test(header, body)
    assert open_callback(body).kind is Kind.UNKNOWN_NEWS


def test_a_ping_of_just_a_kilobyte_is_still_one():
    body = written(PING | {"message": ""})
    largest = written(PING | {"message": "x" * (1024 - len(body))})

    assert len(largest) == 1024
    assert is_url_test(None, largest)
    assert not is_url_test(None, largest + b" ")
