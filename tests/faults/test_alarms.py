"""Every alarm rings by itself and falls silent by itself; a notice is sent once, never in floods, and stops nothing."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.core import mail
from pytest_django import Settings

from tests.desk import deliver, news, see
from tests.factories import DeliveryFactory
from tests.faults.door import approval
from tests.wire import NOON, item_document, stamp, trade_snapshot
from withdrawals.actions import alarms
from withdrawals.actions.alarms import NOTICES_PER_HOUR, notify, watch
from withdrawals.actions.deliveries import Call, CallRejected, receive_delivery
from withdrawals.actions.sightings import note_error_key
from withdrawals.actions.trades import reconcile
from withdrawals.assetpay.errors import AssetPayError, Refused
from withdrawals.models import Alarm, AlarmKind, AuditEntry, Delivery, ReadState, Trade, Verdict
from withdrawals.outbound.notices import NoticeFailed

pytestmark = pytest.mark.django_db

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def ringing(now: datetime) -> set[str]:
    """What rings after a look at the tables."""
    count = watch(now=now)
    kinds = set(Alarm.objects.ringing().values_list("kind", flat=True))
    assert count == len(kinds)
    return kinds


def forged(now: datetime) -> None:
    with pytest.raises(CallRejected):
        receive_delivery(Call(f"t={stamp(now)},id=x,s={'0' * 64}", news(), "203.0.113.9", is_copy=True), now=now)


def approvals_come_here(now: datetime) -> datetime:
    deliver(approval("t-1"), now=now, is_copy=False)
    return now + timedelta(days=1, minutes=1)


def secret_is_wrong(now: datetime) -> datetime:
    forged(now)
    forged(now)
    return now + 6 * MINUTE


def clock_is_off(now: datetime) -> datetime:
    deliver(news(), now=now, signed_at=now - timedelta(seconds=45))
    return now + 11 * MINUTE


def callbacks_are_missed(now: datetime) -> datetime:
    deliver(news(), now=now - HOUR)
    see(
        trade_snapshot(status="active", items=[item_document(status="active")], updatedAt=stamp(now - 10 * MINUTE)),
        now=now - 5 * MINUTE,
    )
    return now + 2 * HOUR


def callbacks_stop(now: datetime) -> datetime:
    for minute in range(60):
        DeliveryFactory(received_at=now - 2 * HOUR + minute * MINUTE)
    see(trade_snapshot(), now=now - 2 * HOUR)
    return now


def address_is_refused(now: datetime) -> datetime:
    no = Refused("MERCHANT_NO_CALLBACK_URL", None, "No callback URL is set.", "r-1", 409)
    note_error_key(no, now=now)
    return now + timedelta(days=1, minutes=1)


def something_is_not_understood(now: datetime) -> datetime:
    deliver(b"not JSON", now=now)
    return now


def reads_fail(now: datetime) -> datetime:
    ReadState.objects.update_or_create(pk=1, defaults={"failed_at": now, "failure": "AssetPay is away"})
    return now


def mend(kind: AlarmKind, now: datetime) -> None:
    """Where time alone does not heal."""
    if kind == AlarmKind.CALLBACKS_SILENT:
        deliver(news(), now=now)
    elif kind == AlarmKind.DELIVERIES_STUCK:
        Delivery.objects.update(verdict=Verdict.NOTED)
    elif kind == AlarmKind.READS_FAILING:
        ReadState.objects.update(succeeded_at=now + MINUTE)


CAUSES: dict[AlarmKind, Callable[[datetime], datetime]] = {
    AlarmKind.APPROVALS_HERE: approvals_come_here,
    AlarmKind.WRONG_SECRET: secret_is_wrong,
    AlarmKind.CLOCK_SKEW: clock_is_off,
    AlarmKind.CALLBACKS_MISSED: callbacks_are_missed,
    AlarmKind.CALLBACKS_SILENT: callbacks_stop,
    AlarmKind.CALLBACKS_DISABLED: address_is_refused,
    AlarmKind.DELIVERIES_STUCK: something_is_not_understood,
    AlarmKind.READS_FAILING: reads_fail,
}


# Those of the audit log ring and clear in tests/actions/test_anchors.py.
IN_TEST_ANCHORS = {AlarmKind.ANCHORS_FAILING, AlarmKind.LOG_TAMPERED}


def test_every_kind_of_alarm_has_a_cause_here() -> None:
    assert set(CAUSES) | IN_TEST_ANCHORS == set(AlarmKind) == set(alarms.DETECTORS)


@pytest.mark.parametrize("kind", CAUSES)
def test_an_alarm_rings_for_its_cause_alone_and_clears_by_itself(kind: AlarmKind) -> None:
    assert ringing(NOON) == set()

    over = CAUSES[kind](NOON)

    assert ringing(NOON) == {kind}
    assert ringing(NOON) == {kind}
    mend(kind, over)
    assert ringing(over) == set()
    told = AuditEntry.objects.filter(action__startswith="alarm.").order_by("number")
    assert [(entry.action, (entry.before | entry.after)["alarm"]) for entry in told] == [
        ("alarm.raised", kind),
        ("alarm.cleared", kind),
    ]
    assert Alarm.objects.get().advice


def test_f28_an_approval_that_came_as_a_copy_rings_nothing() -> None:
    deliver(approval("t-1"), now=NOON, is_copy=True)

    assert ringing(NOON) == set()


def test_a_change_that_a_callback_announced_is_not_missed() -> None:
    deliver(news(), now=NOON - HOUR)
    changed = {"status": "active", "updatedAt": stamp(NOON - 10 * MINUTE), "items": [item_document(status="active")]}
    deliver(news(**changed), now=NOON - 5 * MINUTE)
    see(trade_snapshot(**changed), now=NOON - 4 * MINUTE)

    assert ringing(NOON) == set()


def test_reads_that_fail_ring_and_reads_that_work_again_clear() -> None:
    see(trade_snapshot(), now=NOON)

    with pytest.raises(AssetPayError):  # nobody listens where the tests' settings point
        reconcile(now=NOON)
    assert ringing(NOON) == {AlarmKind.READS_FAILING}

    Trade.objects.all().update(status="completed")
    Trade.objects.get().items.update(status="completed")
    reconcile(now=NOON + MINUTE)
    assert ringing(NOON + MINUTE) == set()


# --- Notices ----------------------------------------------------------------------------------------------


@dataclass
class Webhook:
    """A chat service on loopback; answers with `status`."""

    url: str = ""
    status: int = 200
    texts: list[str] = field(default_factory=list)


@pytest.fixture
def webhook(settings: Settings) -> Iterator[Webhook]:
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.texts.append(json.loads(body)["text"])
            self.send_response(hook.status)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook.url = f"http://127.0.0.1:{server.server_port}/services/T0/B0/secret"
    settings.SLACK_WEBHOOK_URL = hook.url
    settings.ALARM_EMAILS = ["duty@desk.example"]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield hook
    server.shutdown()
    server.server_close()


def make_alarms(count: int, *, now: datetime) -> None:
    """Alarms of the past hour that nobody was told of; no kind may ring twice, so most are over already."""
    for kind in list(AlarmKind)[:count]:
        Alarm.objects.create(kind=kind, detail="by test", raised_at=now, changed_at=now)


def test_a_notice_reaches_mail_and_chat_once_and_holds_no_secret(webhook: Webhook, settings: Settings) -> None:
    make_alarms(2, now=NOON)

    assert [notify(now=NOON), notify(now=NOON + MINUTE)] == [2, 0]

    assert len(webhook.texts) == len(mail.outbox) == 2
    told = repr(webhook.texts) + repr([(message.subject, message.body) for message in mail.outbox])
    assert not any(secret in told for secret in [*settings.ASSETPAY_API_SECRETS, settings.ASSETPAY_API_KEY])


def test_no_more_than_ten_notices_leave_in_an_hour(webhook: Webhook) -> None:
    sent = []
    for minute in range(70):
        now = NOON + minute * MINUTE
        Alarm.objects.ringing().update(cleared_at=now)
        make_alarms(1, now=now)
        sent.append(notify(now=now))

    assert len(webhook.texts) == sum(sent)
    assert max(sum(sent[start : start + 60]) for start in range(10)) == NOTICES_PER_HOUR
    assert sum(sent[60:]) > 0


def test_a_notice_is_marked_before_it_is_sent_so_a_crash_costs_one_and_repeats_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_alarms(1, now=NOON)
    seen = []

    def crash(subject: str, text: str) -> None:
        seen.append(Alarm.objects.get().notified_at)
        raise KeyboardInterrupt

    monkeypatch.setattr(alarms, "send_notice", crash)
    with pytest.raises(KeyboardInterrupt):
        notify(now=NOON)

    assert seen == [NOON]
    assert notify(now=NOON + MINUTE) == 0
    assert len(seen) == 1


def test_a_channel_that_fails_stops_neither_the_other_channel_nor_the_other_alarms(webhook: Webhook) -> None:
    webhook.status = 500
    make_alarms(3, now=NOON)

    assert notify(now=NOON) == 0

    assert (len(webhook.texts), len(mail.outbox)) == (3, 3)
    assert not Alarm.objects.filter(notified_at=None).exists()


def test_a_failed_notice_names_the_channel_and_not_its_address(webhook: Webhook) -> None:
    webhook.status = 404

    with pytest.raises(NoticeFailed) as failed:
        alarms.send_notice("subject", "text")

    assert "Slack" in str(failed.value)
    assert "secret" not in str(failed.value)
    assert failed.value.__cause__ is None


def test_a_channel_that_is_not_there_at_all_is_only_a_failed_notice(settings: Settings) -> None:
    settings.SLACK_WEBHOOK_URL = "http://127.0.0.1:9/nobody"
    make_alarms(2, now=NOON)

    assert notify(now=NOON) == 0
    assert not Alarm.objects.filter(notified_at=None).exists()


def test_five_lost_callbacks_in_a_hundred_are_reported_as_five_in_a_hundred() -> None:
    changed_at = [NOON + timedelta(seconds=30 * number) for number in range(100)]
    for number in range(100):
        deliver(news(f"t-{number}"), now=NOON - timedelta(hours=1))
    for number, at in enumerate(changed_at):
        fields = {"status": "active", "updatedAt": stamp(at), "items": [item_document(status="active")]}
        if number % 20 == 7:
            see(trade_snapshot(f"t-{number}", **fields), now=at)
        else:
            deliver(news(f"t-{number}", **fields), now=at)

    watch(now=changed_at[7] + timedelta(minutes=3))
    assert AlarmKind.CALLBACKS_MISSED in ringing(changed_at[7] + timedelta(minutes=3))
    watch(now=NOON + timedelta(minutes=55))

    alarm = Alarm.objects.ringing().get(kind=AlarmKind.CALLBACKS_MISSED)
    assert alarm.detail == "5 of 100 changes in the last hour (5 %) were learned only by reading."
