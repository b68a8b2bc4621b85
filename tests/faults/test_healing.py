"""What once went wrong and must not again: one bad neighbour, one lost record, one failing detector."""

import contextlib
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import DataError, OperationalError, connection
from pytest_django import Settings

from sandbox.testing import running_sandbox
from tests.desk import ask, clock_at, deliver, item_of, news, person, see
from tests.races import race
from tests.wire import NOON, item_document, stamp, trade_snapshot
from withdrawals.actions import alarms
from withdrawals.actions.alarms import watch
from withdrawals.actions.audit import Origin
from withdrawals.actions.deliveries import replay_delivery
from withdrawals.actions.refund_approvals import approve_refund
from withdrawals.actions.refunds import RefundChanged, RefundRefused, confirm_refund
from withdrawals.actions.sending import _record_surely, claim_next, drain, record_answer, settle_abandoned
from withdrawals.actions.trades import import_trades, reconcile
from withdrawals.gateway import CancelAnswer, CannotAsk
from withdrawals.models import (
    Alarm,
    AlarmKind,
    Attempt,
    AuditEntry,
    Cancellation,
    Delivery,
    Item,
    ReadState,
    Refund,
    RefundApproval,
    RefundEntry,
    Role,
    SendBudget,
    Sighting,
    Source,
    Trade,
)

pytestmark = pytest.mark.django_db

BY_HAND = Origin(Source.COMMAND, name="test")
ACCEPTED = CancelAnswer(trade_id="trade-one", item_id="item-one", external_id=None, request_id="r")


def test_one_customer_who_cannot_be_asked_for_does_not_block_reading_back(settings: Settings) -> None:
    with running_sandbox(client_trade_lookup=True) as sandbox:
        settings.ASSETPAY_BASE_URL, settings.ASSETPAY_MERCHANT_ID = sandbox.base_url, sandbox.merchant_id
        settings.ASSETPAY_API_SECRETS, settings.ASSETPAY_API_KEY = list(sandbox.secrets), ""
        see(trade_snapshot("no-trade-url", clientTradeUrl=None))
        good = sandbox.control.make_trade(id="good", status="hold", announce=False)
        links = {"clientTradeUrl": good["clientTradeUrl"], "clientSteamID": good["clientSteamID"]}
        see(trade_snapshot("good", **links))
        for _ in range(2):
            with contextlib.suppress(CannotAsk):
                reconcile(now=datetime.now(UTC))

    assert Trade.objects.get(assetpay_id="good").status == "hold"


def test_one_trade_that_cannot_be_mirrored_does_not_keep_the_others_from_being_followed(settings: Settings) -> None:
    with running_sandbox() as sandbox:
        settings.ASSETPAY_BASE_URL, settings.ASSETPAY_API_KEY = sandbox.base_url, sandbox.api_key
        ids = [sandbox.control.make_trade(announce=False)["id"] for _ in range(2)]
        import_trades(ids, origin=BY_HAND, now=NOON)
        for each in ids:
            sandbox.control.change_trade(each, status="reverted", announce=False)
        odd, sound = Trade.objects.order_by("pk")

        def odd_is_refused(execute: object, sql: str, params: object, many: bool, context: object) -> object:
            is_merge = sql.startswith('UPDATE "withdrawals_trade"') and sql.endswith('WHERE "id" = %s')
            if is_merge and params[-1] == odd.pk:  # type: ignore[index]
                raise DataError("planted: no column holds this")
            return execute(sql, params, many, context)  # type: ignore[operator]

        with connection.execute_wrapper(odd_is_refused):
            for hour in (1, 2):
                reconcile(now=NOON + timedelta(hours=hour))

    odd.refresh_from_db()
    sound.refresh_from_db()
    assert (odd.status == "reverted", sound.status) == (False, "reverted")
    assert ReadState.objects.get().failure.startswith("1 of the trades that were read could not be mirrored")
    assert "could not be mirrored" in alarms.reads_failing(NOON + timedelta(hours=2))


def test_a_delivered_trade_that_is_reverted_unheard_is_found_by_reading(settings: Settings) -> None:
    with running_sandbox() as sandbox:
        settings.ASSETPAY_BASE_URL, settings.ASSETPAY_API_KEY = sandbox.base_url, sandbox.api_key
        trade = sandbox.control.make_trade(status="completed", announce=False)
        import_trades([trade["id"]], origin=BY_HAND, now=NOON)
        sandbox.control.change_trade(trade["id"], status="reverted", announce=False)
        for hour in range(10):
            reconcile(now=NOON + timedelta(hours=hour))

    assert Item.objects.get().status == "reverted"
    assert Refund.objects.exists()


@pytest.mark.parametrize("price", [Decimal("12.12345"), Decimal("12.339999999999999"), Decimal("0.29999999999999998")])
def test_a_price_of_more_than_four_places_is_told_once(price: Decimal) -> None:
    for delivery_id in ("d-1", "d-2"):
        deliver(news(items=[item_document(offer={"price": price})]), delivery_id=delivery_id)

    assert not AuditEntry.objects.filter(action="item.changed").exists()


@pytest.mark.parametrize("ahead", [310, 600])
def test_f10_a_clock_ahead_of_the_tolerance_rings(ahead: int) -> None:
    for number in range(20):
        signed_at = NOON + timedelta(seconds=2 * number)
        deliver(news(f"t-{number}"), now=signed_at + timedelta(seconds=ahead), signed_at=signed_at)

    watch(now=NOON + timedelta(seconds=60 + ahead))

    assert Alarm.objects.ringing().filter(kind=AlarmKind.CLOCK_SKEW).exists()


def test_a_replay_does_not_forget_what_the_delivery_did() -> None:
    delivery = deliver(news(newKey=1))

    replay_delivery(delivery_id=delivery.pk, origin=BY_HAND, now=NOON + timedelta(days=1), dry_run=False)

    again = Delivery.objects.get()
    assert (again.changes, again.applied_at) == (delivery.changes, NOON)
    assert Sighting.objects.get(name="trade.newKey").times_seen == 1


def test_a_detector_that_fails_silences_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(now: datetime) -> str:
        raise OperationalError("planted")

    monkeypatch.setitem(alarms.DETECTORS, AlarmKind.APPROVALS_HERE, fail)
    ReadState.objects.update_or_create(pk=1, defaults={"failed_at": NOON, "failure": "x"})

    watch(now=NOON)

    assert Alarm.objects.ringing().filter(kind=AlarmKind.READS_FAILING).exists()


@pytest.mark.django_db(transaction=True)
def test_confirmers_and_callbacks_of_one_trade_do_not_deadlock() -> None:
    items = [item_document(f"item-{number}", status="reverted") for number in range(12)]
    see(trade_snapshot(status="reverted", items=items))
    actors = [person(), person()]

    def confirm(number: int) -> int:
        done = 0
        for refund in Refund.objects.select_related("item__trade").order_by("pk")[number::2]:
            with contextlib.suppress(RefundChanged):
                confirm_refund(
                    refund_id=refund.pk,
                    seen=refund.fingerprint(),
                    reference="PAY",
                    actor=actors[number],
                    origin=Origin(Source.SCREEN, actor=actors[number]),
                    now=NOON,
                )
                done += 1
        return done

    def call(number: int) -> int:
        for turn in range(15):
            body = news(
                status="reverted",
                updatedAt=stamp(NOON + timedelta(seconds=10 * turn + number)),
                totalPrice=turn + number,
                items=items,
            )
            assert deliver(body).verdict == "applied"
        return 0

    outcomes = race(4, lambda number: confirm(number) if number < 2 else call(number))

    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)], outcomes


@pytest.mark.django_db(transaction=True)
def test_approvers_and_callbacks_of_one_trade_do_not_deadlock() -> None:
    def told(price: int) -> list[dict[str, object]]:
        return [item_document(f"item-{number}", status="reverted", offer={"price": price}) for number in range(12)]

    see(trade_snapshot(status="reverted", items=told(250)))
    first, second = person(), [person(Role.SUPERVISOR), person(Role.SUPERVISOR)]

    def ask_for(refund: Refund) -> None:
        given = {"reference": "PAY", "actor": first, "origin": Origin(Source.SCREEN, actor=first), "now": NOON}
        confirm_refund(refund_id=refund.pk, seen=refund.fingerprint(), **given)

    for refund in Refund.objects.select_related("item__trade"):
        ask_for(refund)

    def approve(number: int) -> int:
        for approval in RefundApproval.objects.order_by("pk")[number::2]:
            actor = second[number]
            with contextlib.suppress(RefundRefused):
                approve_refund(
                    refund_id=approval.refund_id,
                    seen=approval.seal,
                    actor=actor,
                    origin=Origin(Source.SCREEN, actor=actor),
                    now=NOON,
                )
        return 0

    def call(number: int) -> int:
        for turn in range(10):
            at = stamp(NOON + timedelta(seconds=10 * turn + number))
            assert deliver(news(status="reverted", updatedAt=at, items=told(249 - turn))).verdict == "applied"
        return 0

    outcomes = race(4, lambda number: approve(number) if number < 2 else call(number))

    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)], outcomes
    paid = Refund.objects.filter(state="confirmed").count()
    assert (RefundEntry.objects.count(), RefundApproval.objects.filter(state="approved").count()) == (paid, paid)
    assert RefundApproval.objects.exclude(state__in=["approved", "void"]).count() == 0


@pytest.mark.django_db(transaction=True)
def test_an_answer_is_recorded_though_the_database_was_busy_for_a_moment(settings: Settings) -> None:
    with running_sandbox() as sandbox:
        settings.ASSETPAY_BASE_URL, settings.ASSETPAY_MERCHANT_ID = sandbox.base_url, sandbox.merchant_id
        settings.ASSETPAY_API_SECRETS = list(sandbox.secrets)
        see(trade_snapshot())
        ask(item_of())
        sandbox.control.fault("html", route="cancel_item", status=502)
        failures = iter([True])

        def busy_once(execute: object, sql: str, params: object, many: bool, context: object) -> object:
            if sql.startswith('UPDATE "withdrawals_sendpermit"') and next(failures, False):
                raise OperationalError("planted: database is locked")
            return execute(sql, params, many, context)  # type: ignore[operator]

        with connection.execute_wrapper(busy_once):
            drain(clock=clock_at(NOON))

        sent = [call for call in sandbox.control.requests() if call["method"] == "POST"]

    cancellation = Cancellation.objects.get()
    assert (len(sent), cancellation.state, cancellation.may_resend) == (1, "uncertain", False)


def test_an_answer_is_recorded_though_the_database_was_away_for_two_seconds() -> None:
    see(trade_snapshot())
    ask(item_of())
    claim = claim_next(now=NOON)
    assert claim is not None
    back_at = time.monotonic() + 2

    def away(execute: object, sql: str, params: object, many: bool, context: object) -> object:
        if time.monotonic() < back_at:
            raise OperationalError("planted: connection refused")
        return execute(sql, params, many, context)  # type: ignore[operator]

    with connection.execute_wrapper(away):
        _record_surely(claim, ACCEPTED, clock=clock_at(NOON))

    assert Cancellation.objects.get().state == "accepted"


def test_an_answer_that_was_taken_for_lost_is_still_believed_when_it_comes() -> None:
    see(trade_snapshot())
    ask(item_of())
    claim = claim_next(now=NOON)
    assert claim is not None
    settle_abandoned(now=NOON + timedelta(minutes=2))

    record_answer(claim, ACCEPTED, now=NOON + timedelta(minutes=2, seconds=1))

    cancellation = Cancellation.objects.get()
    assert (cancellation.state, cancellation.may_resend) == ("accepted", False)
    assert Attempt.objects.get().outcome == "accepted"


def test_a_short_wait_does_not_shorten_a_long_pause() -> None:
    SendBudget.objects.update(paused_until=NOON + timedelta(minutes=10))
    see(trade_snapshot())
    ask(item_of())

    assert claim_next(now=NOON + timedelta(minutes=9)) is None
    claim = claim_next(now=NOON + timedelta(minutes=10))
    assert claim is not None
    SendBudget.objects.update(paused_until=NOON + timedelta(minutes=30))
    from withdrawals.assetpay.errors import ToldToWait  # noqa: PLC0415

    wait = ToldToWait(
        seconds=1, key="RATE_LIMITED", code=1005, message="", request_id="r", http_status=429, stated=True
    )
    record_answer(claim, wait, now=NOON + timedelta(minutes=11))

    assert SendBudget.objects.get().paused_until == NOON + timedelta(minutes=30)


def test_a_confirmed_refund_that_later_news_contradicts_is_told_once() -> None:
    see(trade_snapshot(status="reverted", items=[item_document(status="reverted")]))
    refund, actor = Refund.objects.select_related("item__trade").get(), person()
    confirm_refund(
        refund_id=refund.pk,
        seen=refund.fingerprint(),
        reference="PAY",
        actor=actor,
        origin=Origin(Source.SCREEN, actor=actor),
        now=NOON,
    )

    for second in (1, 2):
        later = stamp(NOON + timedelta(seconds=second))
        see(
            trade_snapshot(
                status="reverted",
                revertedBy="user",
                updatedAt=later,
                totalPrice=second,
                items=[item_document(status="reverted")],
            )
        )

    refund.refresh_from_db()
    assert (refund.state, refund.contradicted_at) == ("confirmed", NOON)
    assert AuditEntry.objects.filter(action="refund.contradicted").count() == 1


def test_a_later_message_that_leaves_out_who_reverted_it_releases_nothing() -> None:
    items = [item_document(status="reverted")]
    see(trade_snapshot(status="reverted", revertedBy="user", updatedAt=stamp(NOON), items=items))
    see(trade_snapshot(status="reverted", updatedAt=stamp(NOON + timedelta(seconds=1)), items=items))

    assert Refund.objects.get().state == "in_review"


def test_a_creation_at_the_end_of_the_calendar_breaks_no_page() -> None:
    see(trade_snapshot(createdAt="9999-12-31T23:59:59.000Z"), now=NOON)

    assert item_of().cancellable_from == NOON + timedelta(minutes=30)


def test_a_strangers_megabyte_is_judged_in_no_time() -> None:
    from withdrawals.assetpay.callbacks import looks_like_approval  # noqa: PLC0415

    nested = b'{"type":' * 28 + b'"withdrew"' + b"}" * 28
    body = b'{"trade":{"x":[' + b",".join([nested] * 3_000) + b"]}}"
    started = datetime.now(UTC)

    assert looks_like_approval(body)

    # No benchmark: it took seconds, and takes milliseconds.
    assert datetime.now(UTC) - started < timedelta(seconds=1)
