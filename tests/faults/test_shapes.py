"""F16 to F21, F23, F25 and P30: whatever a well signed body holds, the answer is 200 or 503, and its bytes are kept."""

import json
from collections import Counter
from itertools import product
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from tests.assetpay.test_callbacks import crypto_mutants, trade_mutants, wrapped_mutants
from tests.desk import news, signed
from tests.faults.corpus import NOT_UNDERSTOOD, UNDERSTOOD
from tests.faults.door import (
    APPROVAL,
    CRYPTO_APPROVAL,
    DOOR,
    LONG,
    call,
    everything,
    moment,
    runs,
    seeded,
    send,
    tell,
    word,
)
from tests.wire import item_document, trade_document
from withdrawals.assetpay.suspicion import sounds_like_asking, sounds_like_withdrawing
from withdrawals.models import AuditEntry, Delivery, Item, RejectedCall, Sighting, Trade, Verdict

pytestmark = pytest.mark.django_db

POISON = [
    *("\x00", "\ud800", "\udfff", "\ud83d\x00\ude00", "\u202e", "\u2066", "\u200b", "\ufeff", "\U0001f480"),
    *("\U0010ffff", "\uffff", "\x01", "\x1b[31m", "\x7f", "\x85", "\u2028", "\r\n", "\t", " ", "  ", "\\", '"'),
    *("'; DROP TABLE withdrawals_item; --", "%s%n", "{{ 7 }}", "${7}", "<script>alert(1)</script>", "=1+1", "\\u0000"),
    *("a\u0301" * 500, "\u1e9e", "\u0130", "\ufdfa" * 200, "x" * 15_000, "null", "NaN", "../../etc", "%00", "é", "١٢"),
]
TEXT_FIELDS = ["source", "game", "merchantId", "clientUserId", "clientTradeUrl", "clientSteamID", "externalId"]
TEXT_FIELDS += ["externalClientUserId", "offerId", "revertedBy", "error", "somethingNew"]
ITEM_FIELDS = ["error", "externalId", "assetId", "name", "marketHashName", "type", "iconUrl", "exterior", "rarity"]
ITEM_FIELDS += ["color", "phase", "somethingNew"]


@pytest.mark.parametrize("name", NOT_UNDERSTOOD)
def test_f16_f17_what_cannot_be_read_is_kept_quarantined_and_503(name: str) -> None:
    body = NOT_UNDERSTOOD[name]

    assert [send(body, delivery_id="d-1") for _ in range(2)] == [503, 503]

    delivery = Delivery.objects.get()
    assert (bytes(delivery.body), delivery.verdict) == (body, Verdict.QUARANTINED)
    assert delivery.problem
    assert not Trade.objects.exists()


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_f16_f18_what_is_odd_but_certainly_news_is_kept_and_200(name: str) -> None:
    body = UNDERSTOOD[name]

    assert send(body, delivery_id="d-1") == 200

    delivery = Delivery.objects.get()
    assert bytes(delivery.body) == body
    assert delivery.verdict in (Verdict.APPLIED, Verdict.NOTED)


@pytest.mark.parametrize("name", [*NOT_UNDERSTOOD, *UNDERSTOOD])
def test_p30_the_same_bodies_unsigned_are_401_or_503(name: str) -> None:
    body = (NOT_UNDERSTOOD | UNDERSTOOD)[name]

    assert call(body, None) in {401, 503}

    assert not Delivery.objects.exists()
    assert RejectedCall.objects.get().body_bytes == len(body)


@pytest.mark.parametrize("count", runs(300, 10_000))
def test_f16_any_damage_to_any_body_is_200_or_503_and_never_news_of_an_approval(count: int) -> None:
    chance = seeded(16)
    answers: Counter[int] = Counter()
    whole = [news(), APPROVAL, CRYPTO_APPROVAL, b'{"deposit":{"id":"d","status":"completed"}}']

    for _ in range(count):
        origin = chance.choice(whole)
        damaged = bytearray(origin)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(damaged))
            damaged[place : place + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        answer = send(bytes(damaged))
        answers[answer] += 1
        is_approval = origin in (APPROVAL, CRYPTO_APPROVAL)
        assert answer in ({503} if is_approval and _still_asks(bytes(damaged)) else {200, 503}), bytes(damaged)

    tell(f"{dict(sorted(answers.items()))}")
    assert not Delivery.objects.filter(verdict=Verdict.FAILED).exists()
    assert Delivery.objects.count() == count


def _still_asks(body: bytes) -> bool:
    """Whether both words of an approval stand in the body still."""
    return (b"withdraw" in body) and (b"initiated" in body or b"awaiting_approval" in body)


@pytest.mark.parametrize("one_by_one", [False, pytest.param(True, marks=LONG)])
def test_f18_poisonous_text_in_any_field_trips_nothing_and_is_not_retried_for_ever(one_by_one: bool) -> None:
    documents: list[tuple[str, dict[str, Any]]] = []
    for number, poison in enumerate(POISON):
        items = [item_document(**dict.fromkeys(ITEM_FIELDS, poison))]
        documents.append((poison, trade_document(f"t-{number}", **dict.fromkeys(TEXT_FIELDS, poison), items=items)))
        documents.append((poison, trade_document(f"i-{number}", items=[item_document(poison)])))
        documents.append((poison, trade_document(poison)))
        if one_by_one:
            documents += [(poison, trade_document(f"{name}-{number}", **{name: poison})) for name in TEXT_FIELDS]
            documents += [
                (poison, trade_document(f"i-{name}-{number}", items=[item_document(**{name: poison})]))
                for name in ITEM_FIELDS
            ]

    tell(f"{len(documents):,} bodies")
    for poison, document in documents:
        body = json.dumps({"trade": document}).encode()
        assert send(body) in {200, 503}, ascii(poison)
        assert bytes(Delivery.objects.latest("pk").body) == body

    assert set(Delivery.objects.values_list("verdict", flat=True)) == {Verdict.APPLIED, Verdict.QUARANTINED}
    assert Trade.objects.filter(assetpay_id__startswith="t-").count() >= 30
    kept = repr(everything())
    assert "\\x00" not in kept.replace("\\\\x00", "")


@pytest.mark.parametrize("count", runs(20, 200))
def test_f19_unknown_words_are_news_are_counted_and_change_no_state(count: int) -> None:
    chance = seeded(19)
    send(news("t-1", status="active", items=[item_document(status="active")]))
    expected: Counter[str] = Counter()
    later = "2026-03-02T11:30:00.000Z"

    for _ in range(count):
        made_up = word(chance, least=6)
        if sounds_like_asking(made_up) or sounds_like_withdrawing(made_up):
            continue
        status, source, field = f"trade.status={made_up}", f"trade.source={made_up}", f"trade.{made_up}"
        document = trade_document("t-1", status="active", updatedAt=later, items=[item_document(status=made_up)])
        for name, change in (
            (status, {"status": made_up}),
            (source, {"source": made_up}),
            (field, {made_up: 1}),
        ):
            assert send(json.dumps({"trade": document | change}).encode()) == 200
            expected.update({name, f"item.status={made_up}"})
        assert send(json.dumps({made_up: {"id": 1}}).encode()) == 200
        expected.update({f"callback.{made_up}"})

    item, trade = Item.objects.get(), Trade.objects.get()
    assert (item.status, trade.status) == ("active", "active")
    assert dict(Sighting.objects.values_list("name", "times_seen")) == dict(expected)
    assert not AuditEntry.objects.filter(after__has_key="status").exclude(action__endswith="appeared").exists()
    assert not Delivery.objects.exclude(verdict__in=[Verdict.APPLIED, Verdict.NOTED]).exists()


def test_f19_an_unknown_kind_that_speaks_of_taking_out_is_503() -> None:
    bodies = [{"event": {"name": "withdrawal"}}, {"payout": "withdraw"}, {"x": [{"status": "initiated"}]}]

    assert {send(json.dumps(body).encode()) for body in bodies} == {503}


@pytest.mark.parametrize("count", runs(30, 1_000))
def test_f20_news_of_trades_nobody_knew_is_mirrored_at_once(count: int) -> None:
    assert {send(news(f"orphan-{number}")) for number in range(count)} == {200}

    assert Trade.objects.count() == Delivery.objects.filter(trade__isnull=False).count() == count
    assert Trade.objects.still_open().count() == count


def pings() -> list[tuple[bytes, bool]]:
    """Bodies around AssetPay's URL test, and whether each is one, by the rule as contract 6 words it."""
    tests = [True, False, None, "true", "True", 1, 1.0, 0, [True], {"test": True}, ""]
    stamps = [..., "2026-01-01T00:00:00Z", 7, None, ["2026"], {"at": 1}]
    messages = [..., "hello", "", None, "x" * 1_100, {"trade": {}}]
    extras: list[tuple[str, Any]] = [("", ...), ("trade", {}), ("Test", True), ("id", 1), ("type", "withdraw")]
    bodies = []
    for test, stamp, message, (extra, value) in product(tests, stamps, messages, extras):
        given = {"test": test, "timestamp": stamp, "message": message, extra: value}
        document = {name: value for name, value in given.items() if value is not ...}
        body = json.dumps(document).encode()
        plain = all(not isinstance(value, dict | list) for value in document.values())
        bodies.append((body, test is True and extra == "" and plain and len(body) <= 1_024))
    good = b'{"test":true}'
    bodies += [(b" " + good, True), (good + b"\n", True), (good + b" " * 1_100, False), (good * 2, False)]
    bodies += [(b'{"test":true,"test":true}', False), (b"\xef\xbb\xbf" + good, False), (b"[" + good + b"]", False)]
    bodies += [(b'{"test":false,"test":true}', False), (good.decode().encode("utf-16"), False), (b"true", False)]
    return bodies


def test_f21_only_a_true_ping_is_200_and_it_touches_no_table(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    chance = seeded(21)
    variants = pings()
    true = [body for body, is_ping in variants if is_ping]
    false = [body for body, is_ping in variants if not is_ping]
    assert len(true) > 15

    with django_assert_num_queries(0):
        assert {call(body, None) for body in true} == {200}
    assert {call(body, None) for body in chance.sample(false, 300)} <= {401, 503}
    assert {call(body, "") for body in true} == {401}
    assert not Delivery.objects.exists()

    # Signed, it is a body like any other: kept.
    assert {send(body) for body in true} == {200}
    assert Delivery.objects.filter(verdict=Verdict.NOTED).count() == len(true)


@pytest.mark.parametrize(
    "path",
    [
        "/callbacks/",
        "/callbacks/assetpay",
        "/callbacks/assetpay/x",
        "/callbacks//assetpay/",
        "/callbacks/assetpay/\x00",
    ],
)
@pytest.mark.parametrize("debug", [True, False])
def test_f23_beneath_the_callback_path_nothing_but_the_door_answers_and_that_is_503(
    path: str, debug: bool, settings: Settings
) -> None:
    settings.DEBUG = debug
    caller = Client(raise_request_exception=False, headers={"X-AssetPay-Signature": signed(APPROVAL, now=moment())})

    assert caller.generic("POST", path, APPROVAL, content_type="application/json").status_code == 503


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "elsewhere.example"},
        {"Host": ""},
        {"Host": "a b"},
        {"Host": "localhost:notaport"},
        {"Host": "[::1"},
        {"Content-Length": "many"},
        {"X-Forwarded-Proto": "https"},
        {"X-Forwarded-For": "\x00, ,,"},
        {"X-Request-ID": "x" * 5_000},
        {"Cookie": "session=" + "x" * 4_000},
        {"Accept-Language": "\x00;q=é"},
        {"Expect": "100-continue"},
        {"X-HTTP-Method-Override": "GET"},
        {"HX-Request": "true"},
    ],
)
def test_f23_no_header_makes_an_approval_anything_but_503(headers: dict[str, str]) -> None:
    assert call(APPROVAL, signed(APPROVAL, now=moment()), **headers) == 503


def test_f14_a_body_in_chunks_that_the_server_does_not_pass_on_may_be_an_approval_and_is_503() -> None:
    header = signed(APPROVAL, now=moment())

    assert call(b"", header, **{"Transfer-Encoding": "chunked"}) == 503


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/html",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "application/json; charset=nonsense",
        "é",
        "a" * 5_000,
    ],
)
def test_f23_the_content_type_decides_nothing(content_type: str) -> None:
    caller = Client(raise_request_exception=False)

    def sent(body: bytes) -> int:
        headers = {"X-AssetPay-Signature": signed(body, now=moment())}
        return int(caller.generic("POST", DOOR, body, content_type=content_type, headers=headers).status_code)

    assert (sent(news()), sent(APPROVAL)) == (200, 503)


@pytest.mark.parametrize("count", runs(300, 1_000))
def test_f25_no_mutant_of_an_approval_is_answered_yes_or_no(count: int) -> None:
    chance = seeded(25)
    mutants = [*trade_mutants(), *wrapped_mutants(), *crypto_mutants()]

    for mutant in chance.sample(mutants, min(count, len(mutants))):
        assert send(json.dumps(mutant).encode(), is_copy=chance.random() < 0.5) == 503, mutant
