"""F31 to F45, P12 to P15 at the desk: races, resubmissions, late truths, cut lines, storms, dead tokens."""

import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.db import connection
from pytest_django import Settings

from sandbox.testing import running_sandbox
from tests.assetpay.loopback import Loopback, http_answer, replying
from tests.assetpay.test_answers import KEYS, STRAYS
from tests.desk import ask, clock_at, item_of, person, see
from tests.faults.door import runs, seeded
from tests.faults.kills import forked
from tests.races import race
from tests.wire import NOON, item_document, stamp, trade_snapshot
from withdrawals import gateway
from withdrawals.actions.cancellations import CancelRefused
from withdrawals.actions.sending import claim_next, drain, record_answer, settle_abandoned
from withdrawals.assetpay.cancels import CancelAnswer
from withdrawals.assetpay.errors import (
    AssetPayError,
    NotSent,
    OutcomeUnknown,
    Refused,
    TokenRejected,
    ToldToWait,
)
from withdrawals.models import Attempt, AuditEntry, Cancellation, Item, Refund, SendPermit
from withdrawals.models.answers import SENTENCES, answer_sentence

pytestmark = pytest.mark.django_db(transaction=True)

CLASSES: dict[str, CancelAnswer | AssetPayError] = {
    "accepted": CancelAnswer(trade_id="trade-one", item_id="item-one", external_id=None, request_id="r"),
    "refused": Refused("TRADE_NOT_CANCELLABLE", 28, "No.", "r", 400),
    "too soon": Refused("TRADE_CANCEL_TOO_SOON", 27, "No.", "r", 400),
    "wait": ToldToWait(5, "RATE_LIMITED", 1005, "", "r", 429, stated=True),
    "token": TokenRejected("TOKEN_EXPIRED", 1111, "", "r", 401),
    "not sent": NotSent("ConnectError"),
    "lost": OutcomeUnknown("ReadTimeout", None, "r", lost_answer=True),
    "5xx": OutcomeUnknown("502", 502, "r", lost_answer=False),
}


# --- One at a time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", runs(12, 500))
def test_f31_eight_clickers_on_each_of_many_items_ask_once_for_each(count: int) -> None:
    see(trade_snapshot(items=[item_document(f"item-{number}") for number in range(count)]))
    items, actors = list(Item.objects.all()), [person() for _ in range(8)]

    outcomes = race(8, lambda number: [attempted(item, actors[number]) for item in items])

    won = sum(outcome.count(True) for outcome in outcomes if isinstance(outcome, list))
    assert (won, Cancellation.objects.count()) == (count, count), outcomes
    assert AuditEntry.objects.filter(action="cancellation.requested").count() == count


def attempted(item: Item, actor: object) -> bool:
    try:
        ask(item, actor=actor)  # type: ignore[arg-type]
    except CancelRefused:
        return False
    return True


@pytest.mark.parametrize("count", runs(50, 1_000))
def test_f32_a_form_sent_again_and_again_has_one_effect(count: int) -> None:
    see(trade_snapshot())
    item = item_of()
    done = 0

    for _ in range(count):
        try:
            asked = ask(item, number=1)
        except CancelRefused:
            continue
        Cancellation.objects.filter(pk=asked.pk).update(state="refused", ended_at=NOON)
        done += 1

    assert (done, Cancellation.objects.count()) == (1, 1)


# --- Late truths ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "end"), [("reverted", "confirmed"), ("completed", "overtaken")])
@pytest.mark.parametrize("name", CLASSES)
def test_f33_f34_p12_the_items_own_end_wins_whatever_the_answer_and_whenever_it_comes(
    name: str, status: str, end: str
) -> None:
    """All orders of the claim, the end and the answer: before it, between, and after."""
    told = {"status": status, "updatedAt": stamp(NOON), "items": [item_document(status=status)]}
    for moment in ("before the claim", "before the answer", "after the answer"):
        trade_id = f"trade {moment}"
        see(trade_snapshot(trade_id))
        asked = ask(item_of(trade_id))
        if moment == "before the claim":
            see(trade_snapshot(trade_id, **told))
        claim = claim_next(now=NOON)
        if moment == "before the answer":
            see(trade_snapshot(trade_id, **told))
        if claim is not None:
            record_answer(claim, CLASSES[name], now=NOON)
        if moment == "after the answer":
            see(trade_snapshot(trade_id, **told))
        SendPermit.objects.update(counts_until=NOON)
        asked.refresh_from_db()
        # A refusal is an end of the request; what becomes of the item later is the item's, and its refund's.
        answered_no = moment == "after the answer" and name == "refused"
        assert asked.state == ("refused" if answered_no else end), moment
        assert Refund.objects.filter(item=asked.item).exists() == (status == "reverted")
        connection.cursor().execute("UPDATE withdrawals_sendbudget SET paused_until = NULL")


# --- Cut lines --------------------------------------------------------------------------------------------

YES = b'{"requestId":"r","success":true,"data":{"tradeId":"trade-one","itemId":"item-one","status":"cancelled"}}'


def cut_answer(after: int) -> Callable[[socket.socket], None]:
    def act(line: socket.socket) -> None:
        line.recv(65_536)
        line.sendall(http_answer(YES)[:after])

    return act


EVERYWHERE = range(len(http_answer(YES)))


@pytest.mark.parametrize("count", runs(12, len(EVERYWHERE)))
def test_f35_a_line_cut_anywhere_never_ends_in_a_no_or_a_refund(settings: Settings, count: int) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 60_000
    settings.ASSETPAY_TIMEOUT_SECONDS = 1
    states = set()
    for after in sorted(seeded(35).sample(EVERYWHERE, min(count, len(EVERYWHERE)))):
        trade_id = "trade-one"
        with Loopback(cut_answer(after)) as server:
            settings.ASSETPAY_BASE_URL = server.url
            see(trade_snapshot(trade_id))
            asked = ask(item_of(trade_id))
            claim = claim_next(now=NOON)
            assert claim is not None
            states.add(state_after(claim, settings))
        Cancellation.objects.filter(pk=asked.pk).update(state="withdrawn", ended_at=NOON)

    assert states == {"uncertain"}
    assert not Refund.objects.exists()


def state_after(claim: object, settings: Settings) -> str:
    """Ask for what was claimed over the wire and record it."""
    try:
        answer: object = gateway.cancel_item(
            claim.cancellation.item,  # type: ignore[attr-defined]
            request_id=claim.attempt.request_id,  # type: ignore[attr-defined]
            now=datetime.now(UTC),
        )
    except AssetPayError as error:
        answer = error
    record_answer(claim, answer, now=NOON)  # type: ignore[arg-type]
    return Cancellation.objects.get(pk=claim.cancellation.pk).state  # type: ignore[attr-defined]


def test_f35_control_the_same_answer_whole_is_accepted(settings: Settings) -> None:
    with replying(http_answer(YES)) as server:
        settings.ASSETPAY_BASE_URL = server.url
        see(trade_snapshot())
        ask(item_of())
        claim = claim_next(now=NOON)
        assert claim is not None

        assert state_after(claim, settings) == "accepted"


# --- What an answer means ---------------------------------------------------------------------------------


@pytest.mark.parametrize("earlier", ["lost", "5xx"])
def test_f36_not_cancellable_after_an_unknown_outcome_is_no_failure_and_opens_no_refund(earlier: str) -> None:
    see(trade_snapshot())
    ask(item_of())
    for answer, at in ((CLASSES[earlier], NOON), (CLASSES["refused"], NOON + timedelta(seconds=31))):
        Cancellation.objects.filter(state="uncertain").update(may_resend=True)
        claim = claim_next(now=at)
        assert claim is not None
        record_answer(claim, answer, now=at)

    asked = Cancellation.objects.get()
    assert (asked.state, "may already be cancelling" in asked.waits_for) == ("uncertain", True)
    assert asked.read_from == NOON + timedelta(seconds=61)
    assert not Refund.objects.exists()


# AssetPay's whole list, as the reader of its answers is tried on.
LISTED = [key for key in (*(key for key, _, _ in KEYS), *STRAYS) if key != "A_KEY_OF_TOMORROW"]


@pytest.mark.parametrize("key", LISTED)
def test_f37_every_key_that_assetpay_lists_has_a_sentence_for_the_agent(key: str) -> None:
    sentence = answer_sentence(key)

    assert key in SENTENCES
    assert sentence.endswith(".")
    assert key not in sentence


def test_f37_a_key_that_nobody_listed_is_shown_as_it_came() -> None:
    assert "BRAND_NEW" in answer_sentence("BRAND_NEW")


def test_f37_no_listed_key_of_ours_is_missing_from_assetpays_list() -> None:
    assert set(SENTENCES) <= set(LISTED)


# --- Storms and limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", runs(8, 100))
@pytest.mark.parametrize("form", ["seconds", "date", "absurd", "none"])
def test_f39_a_storm_of_429_pauses_the_merchant_and_everything_is_finished(
    settings: Settings, form: str, count: int
) -> None:
    """AssetPay's limit is half of ours: it refuses, we wait as long as it says, and all of it is done in the end."""
    count = min(count, 100)
    with running_sandbox(cancels_per_minute=4, retry_after=form, supplier_delay_seconds=86_400) as sandbox:
        settings.ASSETPAY_BASE_URL, settings.ASSETPAY_MERCHANT_ID = sandbox.base_url, sandbox.merchant_id
        settings.ASSETPAY_API_SECRETS, settings.ASSETPAY_API_KEY = list(sandbox.secrets), sandbox.api_key
        settings.ASSETPAY_CANCELS_PER_MINUTE = 8
        made = [sandbox.control.make_trade(age_seconds=7200, auto_cancel_seconds=None) for _ in range(count)]
        for trade in made:
            links = {name: trade[name] for name in ("clientTradeUrl", "clientSteamID", "externalClientUserId", "source")
                     if name in trade}  # fmt: skip
            see(trade_snapshot(trade["id"], items=[item_document(trade["items"][0]["id"])], **links))
        for item in Item.objects.all():
            ask(item)
        moment = datetime.now(UTC)
        for _ in range(60 * count):
            drain(clock=clock_at(moment))
            if not Cancellation.objects.waiting().exists():
                break
            moment += timedelta(seconds=10)
            sandbox.control.advance(10)
        calls = [call for call in sandbox.control.requests() if call["method"] == "POST"]

    assert set(Cancellation.objects.values_list("state", flat=True)) == {"accepted"}
    refused = [datetime.fromisoformat(call["time"]) for call in calls if call["status"] == 429]
    assert refused
    assert all(later - at > timedelta(seconds=1) for at, later in pairwise(refused))


def test_f40_p14_four_processes_never_send_more_than_the_limit(settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 5
    see(trade_snapshot(items=[item_document(f"item-{number}") for number in range(40)]))
    for item in Item.objects.all():
        ask(item)

    def worker() -> None:
        # Each looks often, in a minute and a half of its own clock.
        for second in range(0, 90, 3):
            claim = claim_next(now=NOON + timedelta(seconds=second))
            if claim is not None:
                record_answer(claim, CLASSES["accepted"], now=NOON + timedelta(seconds=second))

    def four() -> None:
        children = []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                worker()
                os._exit(0)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4

    assert forked(four) == 0

    left = sorted(SendPermit.objects.values_list("reserved_at", flat=True))
    assert len(left) >= 5
    assert all(later - at >= timedelta(minutes=1) for at, later in zip(left, left[5:], strict=False))


# --- Tokens, workers, transactions ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "code"), [("INVALID_TOKEN", 1102), ("TOKEN_INVALID_OR_EXPIRED", 1110), ("TOKEN_EXPIRED", 1111)]
)
def test_f42_a_rejected_token_is_replayed_exactly_once(key: str, code: int) -> None:
    see(trade_snapshot())
    ask(item_of())
    sent = 0
    while (claim := claim_next(now=NOON)) is not None:
        record_answer(claim, TokenRejected(key, code, "", "r", 401), now=NOON)
        sent += 1

    assert (sent, Cancellation.objects.get().state) == (2, "refused")


@pytest.mark.parametrize("count", runs(20, 200))
def test_f45_a_worker_whose_lease_was_taken_over_commits_nothing(count: int) -> None:
    see(trade_snapshot())
    ask(item_of())
    at, changed = NOON, 0
    for _ in range(min(count, 200)):
        stale = claim_next(now=at)
        assert stale is not None
        at += timedelta(minutes=2)
        settle_abandoned(now=at)
        Cancellation.objects.update(may_resend=True, needs_person="", lost_worker_count=0)
        at += timedelta(minutes=2)
        fresh = claim_next(now=at)
        assert fresh is not None
        changed += record_answer(stale, CLASSES["accepted"], now=at)
        record_answer(fresh, CLASSES["wait"], now=at)
        at += timedelta(minutes=2)

    assert changed == 0
    assert Cancellation.objects.get().accepted_at is None


def test_p13_after_a_5xx_nothing_leaves_by_itself_and_after_a_lost_answer_once() -> None:
    for name, expected in (("5xx", 1), ("lost", 2)):
        see(trade_snapshot(name))
        ask(item_of(name))
        at = NOON
        for _ in range(5):
            claim = claim_next(now=at)
            if claim is not None:
                record_answer(claim, CLASSES[name], now=at)
            at += timedelta(minutes=5)
        assert Attempt.objects.filter(cancellation__item__trade__assetpay_id=name).count() == expected


def test_p15_no_call_is_made_inside_a_transaction(settings: Settings) -> None:
    """Asked on the spot: whatever the server sees, our connection is in no transaction at that moment."""
    seen = []
    see(trade_snapshot())
    ask(item_of())
    plain = gateway.cancel_item

    def watched(*args: object, **kwargs: object) -> CancelAnswer:
        seen.append(connection.in_atomic_block)
        return plain(*args, **kwargs)  # type: ignore[arg-type]

    with replying(http_answer(YES)) as server, pytest.MonkeyPatch.context() as patch:
        settings.ASSETPAY_BASE_URL = server.url
        patch.setattr(gateway, "cancel_item", watched)
        drain(clock=clock_at(datetime.now(UTC)))

    assert seen == [False]
