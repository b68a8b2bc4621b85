"""The door: what comes, and what AssetPay is answered. On an approval never a 2xx and never a 4xx."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from tests.desk import news, signed
from tests.wire import NOON, item_document, stamp, trade_document
from withdrawals.models import AuditEntry, Delivery, Item, Refund, RejectedCall, Trade, Verdict

pytestmark = pytest.mark.django_db

DOOR = "/callbacks/assetpay/"
APPROVAL = news(status="initiated", items=[item_document(status="initiated")])
CRYPTO_APPROVAL = json.dumps(
    {"withdrawal": {"id": "w-1", "type": "crypto_withdraw", "status": "awaiting_approval"}}
).encode()


def now() -> datetime:
    return datetime.now(UTC)


def call(body: bytes, signature: str | None = None, *, copy: bool = True, **headers: Any) -> int:
    """POST as AssetPay does; without a given signature, with a good one. The status answered."""
    sent = {"X-AssetPay-Signature": signature if signature is not None else signed(body, now=now())}
    if copy:
        sent["X-Callback-Copy"] = "1"
    answer = Client(enforce_csrf_checks=True).post(
        DOOR, body, content_type="application/json", headers={**sent, **headers}
    )
    assert answer.content == b""
    return int(answer.status_code)


def test_well_signed_news_of_a_withdrawal_is_kept_applied_and_answered_2xx() -> None:
    body = news()

    assert call(body) == 200

    delivery = Delivery.objects.get()
    assert bytes(delivery.body) == body
    assert (delivery.verdict, delivery.trade, delivery.is_copy) == (Verdict.APPLIED, Trade.objects.get(), True)
    assert delivery.applied_at is not None
    assert Item.objects.get().status_delivery == delivery


# How a trade goes on, and how many statements each of its callbacks takes, with those that begin and end transactions;
# on PostgreSQL one fewer, as the log's entries go with its head.
STATEMENTS = {"initiated": 12, "pending": 14, "active": 14, "reverted": 17}


@pytest.mark.parametrize("count", [1, 3, 50])
def test_a_callback_of_many_items_takes_no_more_statements_than_one_of_one(
    count: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    together = connection.vendor == "postgresql"
    for minute, (status, statements) in enumerate(STATEMENTS.items()):
        items = [item_document(f"item-{number}", status=status) for number in range(count)]
        body = news(status="pending", updatedAt=stamp(NOON + timedelta(minutes=minute)), items=items)
        signature = signed(body, now=now())

        with django_assert_num_queries(statements - together):
            assert call(body, signature) == 200

    assert Item.objects.filter(status="reverted").count() == Refund.objects.count() == count


def test_the_same_delivery_again_is_2xx_without_a_second_effect() -> None:
    body = news()
    signature = signed(body, now=now())
    call(body, signature)
    entries = AuditEntry.objects.count()

    assert call(body, signature) == 200

    assert Delivery.objects.get().times_received == 2
    assert AuditEntry.objects.count() == entries


def test_the_same_delivery_id_with_another_body_is_quarantined_and_overwrites_nothing() -> None:
    first, second = news(), news(status="reverted", items=[item_document(status="reverted")])
    call(first, signed(first, now=now(), delivery_id="d-1"))

    assert call(second, signed(second, now=now(), delivery_id="d-1")) == 409

    assert Item.objects.get().status == "pending"
    assert Delivery.objects.get(conflicts_with__isnull=False).verdict == Verdict.QUARANTINED


@pytest.mark.parametrize("body", [APPROVAL, CRYPTO_APPROVAL], ids=["withdrawal", "crypto"])
@pytest.mark.parametrize("copy", [True, False])
def test_an_approval_is_kept_and_answered_503(body: bytes, copy: bool) -> None:
    assert call(body, copy=copy) == 503

    delivery = Delivery.objects.get()
    assert (delivery.verdict, delivery.is_copy) == (Verdict.APPROVAL, copy)


def test_an_approval_is_mirrored_like_any_snapshot() -> None:
    call(APPROVAL)

    item = Item.objects.get()
    assert (item.status, item.first_price) == ("initiated", 12)


@pytest.mark.parametrize("reused", [False, True])
def test_an_approval_under_a_delivery_id_that_was_used_is_503(reused: bool) -> None:
    if reused:
        body = news()
        call(body, signed(body, now=now(), delivery_id="d-1"))

    assert call(APPROVAL, signed(APPROVAL, now=now(), delivery_id="d-1")) == 503


def test_an_approval_with_a_bad_signature_is_503_and_leaves_only_a_trace() -> None:
    assert call(APPROVAL, signed(APPROVAL, now=now(), secret="not-our-secret-at-all")) == 503

    assert not Delivery.objects.exists()
    assert RejectedCall.objects.get().reason == "signature"


@pytest.mark.parametrize("hours", [0.2, 24, 24 * 30])
def test_a_late_approval_is_503(hours: float) -> None:
    assert call(APPROVAL, signed(APPROVAL, now=now() - timedelta(hours=hours))) == 503


@pytest.mark.parametrize(
    "signature",
    ["", "nonsense", "t=2026-01-01T00:00:00Z,id=x", "t=2026-01-01T00:00:00Z,id=x,s=" + "0" * 64, "s=é", "," * 600],
)
def test_any_other_bad_signature_is_401_and_leaves_only_a_trace(signature: str) -> None:
    body = news()

    assert call(body, signature) == 401

    assert not Delivery.objects.exists()
    assert not Trade.objects.exists()
    assert RejectedCall.objects.get().body_bytes == len(body)


def test_news_signed_with_the_previous_secret_is_let_in(settings: Settings) -> None:
    body = news()

    assert call(body, signed(body, now=now(), secret=settings.ASSETPAY_API_SECRETS[1])) == 200


def test_news_of_the_past_is_late_but_kept_and_applied() -> None:
    body = news()

    assert call(body, signed(body, now=now() - timedelta(hours=6))) == 200

    assert Delivery.objects.get().is_late
    assert Trade.objects.exists()


@pytest.mark.parametrize("age", [timedelta(minutes=-6), timedelta(days=8)])
def test_news_of_the_future_or_from_long_ago_is_401(age: timedelta) -> None:
    body = news()

    assert call(body, signed(body, now=now() - age)) == 401


@pytest.mark.parametrize(
    "document",
    [
        {"deposit": {"id": "d-1", "status": "completed"}},
        {"withdrawal": {"id": "w-1", "type": "crypto_withdraw", "status": "completed"}},
        {"trade": trade_document("deposit-one", type="deposit", status="initiated")},
        {"something": {"new": True}},
        {"test": True, "timestamp": "2026-01-01T00:00:00Z", "message": "signed"},
    ],
    ids=["crypto deposit", "crypto cash-out", "deposit", "unknown kind", "signed test"],
)
def test_other_news_is_kept_2xx_and_not_mirrored(document: dict[str, Any]) -> None:
    assert call(json.dumps(document).encode()) == 200

    assert Delivery.objects.get().verdict == Verdict.NOTED
    assert not Trade.objects.exists()


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{", b'{"trade":1}', b"\xff\xfe{}", b'{"a":NaN}', b'{"a":1,"a":2}', b"[" * 5_000],
)
def test_what_is_signed_but_not_understood_is_kept_quarantined_and_503(body: bytes) -> None:
    assert call(body) == 503

    delivery = Delivery.objects.get()
    assert (bytes(delivery.body), delivery.verdict) == (body, Verdict.QUARANTINED)
    assert delivery.problem


def test_poisonous_text_is_kept_and_shown_without_harm() -> None:
    name = "\u0000\ud800 \u202e <script>alert(1)</script> \U0001f480"
    body = json.dumps({"trade": trade_document(items=[item_document(marketHashName=name)])}).encode()

    assert call(body) == 200

    assert "\u0000" not in Item.objects.get().title


def test_the_unsigned_url_test_is_2xx_and_writes_nothing() -> None:
    body = json.dumps({"test": True, "timestamp": "2026-01-01T00:00:00Z", "message": "hello"}).encode()

    answer = Client().post(DOOR, body, content_type="application/json")

    assert answer.status_code == 200
    assert not RejectedCall.objects.exists()
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    "document",
    [
        {"test": "true"},
        {"test": 1},
        {"test": {"test": True}},
        {"test": True, "message": "x" * 2_000},
    ],
)
def test_what_only_resembles_the_url_test_is_an_unsigned_call(document: dict[str, Any]) -> None:
    answer = Client().post(DOOR, json.dumps(document), content_type="application/json")

    assert answer.status_code == 401


def test_a_url_test_that_carries_a_trade_might_be_an_approval() -> None:
    answer = Client().post(DOOR, json.dumps({"test": True, "trade": {}}), content_type="application/json")

    assert answer.status_code == 503


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "head", "options", "trace"])
def test_another_method_is_405(method: str) -> None:
    answer = getattr(Client(), method)(DOOR)

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"


def test_a_body_that_is_too_large_is_413(settings: Settings) -> None:
    settings.CALLBACK_MAX_BYTES = 1_000

    assert call(b" " * 1_001) == 413


def test_a_host_that_nobody_allowed_is_503_and_not_the_frameworks_400() -> None:
    assert call(APPROVAL, Host="elsewhere.example") == 503


def test_our_own_fault_is_503_and_leaves_the_row_without_effects(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        # A fault planted at the last step: everything before it must be rolled back.
        patch.setattr("withdrawals.actions.trades.record_all", fail)
        assert call(news(), signed(news(), now=now(), delivery_id="d-1")) == 503

    assert Delivery.objects.get().verdict == Verdict.FAILED
    assert not Trade.objects.exists()

    assert call(news(), signed(news(), now=now(), delivery_id="d-1")) == 200
    assert Delivery.objects.get().verdict == Verdict.APPLIED


def test_the_trace_of_rejected_calls_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("withdrawals.actions.deliveries.KEPT_REJECTED_CALLS", 5)

    for _ in range(12):
        call(news(), "nonsense")

    assert RejectedCall.objects.count() == 5


def test_a_call_straight_from_assetpay_is_not_hidden_by_its_copy() -> None:
    signature = signed(APPROVAL, now=now())
    call(APPROVAL, signature, copy=True)

    call(APPROVAL, signature, copy=False)

    assert not Delivery.objects.get().is_copy
