"""What nobody knows is settled on what AssetPay showed since, or by two people; "done" never by hand."""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event
from unittest import mock

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet

from tests.desk import ask, deliver, item_of, news, person, see
from tests.races import race
from tests.wire import NOON, item_document, stamp, trade_snapshot
from withdrawals.actions.audit import Origin
from withdrawals.actions.batches import request_whole_trade
from withdrawals.actions.cancellations import RetryRefused, retry_cancellation
from withdrawals.actions.sending import claim_next, record_answer, settle_abandoned
from withdrawals.actions.settlements import SettleRefused, approve_settlement, propose_settlement, settle_cancellation
from withdrawals.assetpay.cancels import CancelAnswer
from withdrawals.assetpay.errors import NotSent, OutcomeUnknown, Refused, ToldToWait
from withdrawals.models import AuditEntry, Cancellation, CancellationState, Refund, Role, Settlement, Source, User
from withdrawals.models.settlement import fingerprint_to_settle

pytestmark = pytest.mark.django_db

UNKNOWN = OutcomeUnknown(reason="502", http_status=502, request_id="r", lost_answer=False)
ACCEPTED = CancelAnswer(trade_id="trade-one", item_id="item-one", external_id=None, request_id="r")


@pytest.fixture
def supervisor() -> User:
    return person(Role.SUPERVISOR)


def answered(answer: object = UNKNOWN) -> Cancellation:
    see(trade_snapshot(), now=NOON - timedelta(minutes=1))
    asked = ask(item_of())
    claim = claim_next(now=NOON)
    assert claim is not None
    record_answer(claim, answer, now=NOON)  # type: ignore[arg-type]
    return Cancellation.objects.get(pk=asked.pk)


def settle(asked: Cancellation, who: User, *, now: datetime, note: str = "asked support", outcome: str = "not_done",
           act: object = settle_cancellation) -> Settlement:  # fmt: skip
    origin = Origin(Source.SCREEN, actor=who)
    seen = fingerprint_to_settle(Cancellation.objects.select_related("item").get(pk=asked.pk))
    return act(cancellation_id=asked.pk, outcome=outcome, note=note, seen=seen, actor=who, origin=origin, now=now)  # type: ignore[operator,no-any-return]


def approve(settlement: Settlement, who: User, *, now: datetime, seen: str | None = None) -> Settlement:
    """Approve what stands on a page that was loaded just now, unless `seen` says otherwise."""
    seal = Settlement.objects.get(pk=settlement.pk).seal if seen is None else seen
    origin = Origin(Source.SCREEN, actor=who)
    return approve_settlement(settlement_id=settlement.pk, seen=seal, actor=who, origin=origin, now=now)


def test_a_look_half_an_hour_later_lets_one_person_settle_it(supervisor: User) -> None:
    asked = answered()
    seen_at = NOON + timedelta(minutes=30)
    see(trade_snapshot(), now=seen_at)

    settlement = settle(asked, supervisor, now=NOON + timedelta(minutes=31))

    asked.refresh_from_db()
    entry = AuditEntry.objects.latest("number")
    assert (asked.state, settlement.settled_at is not None) == ("refused", True)
    assert "read of 2026-03-02 12:30:00 UTC, sha256" in settlement.evidence
    assert settlement.evidence in asked.ended_because
    assert (entry.action, entry.reason, entry.actor) == ("cancellation.settled", "asked support", supervisor)


@pytest.mark.parametrize("seconds", [-30, 0, 120, 1_799])
def test_an_earlier_look_is_no_evidence(supervisor: User, seconds: int) -> None:
    asked = answered()
    see(trade_snapshot(), now=NOON + timedelta(seconds=seconds))

    settlement = settle(asked, supervisor, now=NOON + timedelta(hours=1))

    asked.refresh_from_db()
    assert (settlement.settled_at, asked.state) == (None, "uncertain")


def test_a_look_that_lacks_the_item_is_no_evidence(supervisor: User) -> None:
    asked = answered()
    see(trade_snapshot(items=[item_document("another")]), now=NOON + timedelta(minutes=45))

    assert settle(asked, supervisor, now=NOON + timedelta(hours=1)).settled_at is None


def test_a_delivery_counts_from_what_it_tells_not_from_when_it_came(supervisor: User) -> None:
    asked = answered()
    later = NOON + timedelta(minutes=40)
    deliver(news(updatedAt=stamp(NOON - timedelta(minutes=5))), now=later, delivery_id="old-news")
    assert Cancellation.objects.get().settle_evidence() == ""

    deliver(news(updatedAt=stamp(later)), now=later, delivery_id="fresh-news")

    settlement = settle(asked, supervisor, now=later)
    assert settlement.settled_at == later
    assert "delivery of 2026-03-02 12:40:00" in settlement.evidence


def test_without_evidence_a_second_person_approves(supervisor: User) -> None:
    asked = answered()
    settlement = settle(asked, supervisor, now=NOON)

    with pytest.raises(SettleRefused, match="second person"):
        approve(settlement, supervisor, now=NOON)
    approve(settlement, person(Role.SUPERVISOR), now=NOON)
    with pytest.raises(SettleRefused, match="already settled"):
        approve(settlement, person(Role.SUPERVISOR), now=NOON)

    asked.refresh_from_db()
    assert asked.state == "refused"
    assert AuditEntry.objects.filter(action="cancellation.settled").count() == 1


def test_a_second_account_of_the_same_mail_box_is_no_second_person() -> None:
    asked = answered()
    settlement = settle(asked, person(Role.SUPERVISOR, "super.visor@desk.example"), now=NOON)

    with pytest.raises(SettleRefused, match="second person"):
        approve(settlement, person(Role.SUPERVISOR, "Super.Visor+two@desk.example"), now=NOON)

    asked.refresh_from_db()
    assert asked.state == "uncertain"


def test_the_database_too_wants_evidence_or_two_people(supervisor: User) -> None:
    settlement = settle(answered(), supervisor, now=NOON)

    for wrong in ({"settled_at": NOON}, {"approved_by": supervisor}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Settlement.objects.filter(pk=settlement.pk).update(**wrong)


def test_done_is_never_settled_by_hand(supervisor: User) -> None:
    asked = answered()

    with pytest.raises(SettleRefused, match="AssetPay's to say"):
        settle(asked, supervisor, now=NOON, outcome="done")
    with pytest.raises(SettleRefused, match="note"):
        settle(asked, supervisor, now=NOON, note=" ")


def test_news_between_proposal_and_approval_win(supervisor: User) -> None:
    asked = answered()
    settlement = settle(asked, supervisor, now=NOON, act=propose_settlement)
    see(trade_snapshot(updatedAt=stamp(NOON), items=[item_document(status="reverted")]), now=NOON)

    with pytest.raises(SettleRefused, match="nothing to settle"):
        approve(settlement, person(Role.SUPERVISOR), now=NOON)

    asked.refresh_from_db()
    assert asked.state == "confirmed"


def test_what_assetpay_accepted_is_settled_only_after_a_long_silence(supervisor: User) -> None:
    asked = answered(ACCEPTED)
    see(trade_snapshot(), now=NOON + timedelta(minutes=20))
    with pytest.raises(SettleRefused, match="give it until 12:30:00 UTC"):
        settle(asked, supervisor, now=NOON + timedelta(minutes=29))
    assert asked.settle_evidence() == ""

    see(trade_snapshot(), now=NOON + timedelta(minutes=30))

    assert settle(asked, supervisor, now=NOON + timedelta(minutes=31)).settled_at is not None


def test_the_desks_own_resend_comes_first(supervisor: User) -> None:
    lost = OutcomeUnknown(reason="ReadTimeout", http_status=None, request_id="r", lost_answer=True)

    with pytest.raises(SettleRefused, match="once more by itself"):
        settle(answered(lost), supervisor, now=NOON)


def test_nobody_is_offered_a_refund_while_the_outcome_is_unknown_or_settled_by_hand(supervisor: User) -> None:
    asked = answered()
    see(trade_snapshot(updatedAt=stamp(NOON)), now=NOON + timedelta(minutes=30))
    assert not Refund.objects.exists()

    assert settle(asked, supervisor, now=NOON + timedelta(minutes=31)).settled_at is not None
    assert not Refund.objects.exists()

    # Only AssetPay's own final status opens it, even then.
    later = NOON + timedelta(minutes=39)
    see(trade_snapshot(updatedAt=stamp(later), items=[item_document(status="reverted")]), now=later)
    assert Refund.objects.get().state == "due"


# --- Dead letters -----------------------------------------------------------------------------------------


def try_again(asked: Cancellation, who: User) -> Cancellation:
    origin = Origin(Source.SCREEN, actor=who)
    return retry_cancellation(cancellation_id=asked.pk, actor=who, origin=origin, now=NOON + timedelta(days=1))


BUSY = ToldToWait(
    seconds=5, key="WITHDRAW_IN_PROGRESS", code=None, message="", request_id="r", http_status=409, stated=True
)


@pytest.mark.parametrize("answer", [NotSent("ConnectError"), BUSY], ids=["not sent", "busy"])
def test_f44_what_comes_to_nothing_eight_times_waits_for_a_person(supervisor: User, answer: Exception) -> None:
    asked = answered(answer)
    tries = 1
    while (claim := claim_next(now=Cancellation.objects.get().send_from)) is not None:
        record_answer(claim, answer, now=Cancellation.objects.get().send_from)
        tries += 1

    asked.refresh_from_db()
    assert (tries, asked.state, list(Cancellation.objects.stuck())) == (8, "requested", [asked])
    assert "8 tries came to nothing" in asked.needs_person
    try_again(asked, supervisor)
    assert claim_next(now=NOON + timedelta(days=1)) is not None


def test_f44_a_request_with_which_five_workers_died_waits_for_a_person() -> None:
    asked = answered(NotSent("ConnectError"))
    Cancellation.objects.update(lost_worker_count=4, send_from=NOON)
    assert claim_next(now=NOON) is not None

    settle_abandoned(now=NOON + timedelta(minutes=2))

    asked.refresh_from_db()
    assert "5 workers stopped" in asked.needs_person
    assert claim_next(now=NOON + timedelta(days=1)) is None


def test_only_a_dead_letter_is_tried_again(supervisor: User) -> None:
    with pytest.raises(RetryRefused):
        try_again(answered(), supervisor)


def test_f44_a_dead_letter_blocks_nothing_else() -> None:
    asked = answered(NotSent("ConnectError"))
    Cancellation.objects.filter(pk=asked.pk).update(needs_person="why", send_from=NOON)
    see(trade_snapshot("other"))
    other = ask(item_of("other"))

    claim = claim_next(now=NOON)

    assert claim is not None
    assert claim.cancellation.pk == other.pk


def test_what_was_proposed_before_assetpay_was_asked_again_is_proposed_anew(supervisor: User) -> None:
    lost = OutcomeUnknown(reason="ReadTimeout", http_status=None, request_id="r", lost_answer=True)
    asked = answered(lost)
    Cancellation.objects.update(needs_person="5 workers stopped while they asked AssetPay for this item.")
    proposal = settle(asked, supervisor, now=NOON + timedelta(minutes=5))
    assert proposal.settled_at is None
    agent = person()
    origin = Origin(Source.SCREEN, actor=agent)
    retry_cancellation(cancellation_id=asked.pk, actor=agent, origin=origin, now=NOON + timedelta(minutes=6))
    claim = claim_next(now=NOON + timedelta(minutes=7))
    assert claim is not None
    record_answer(claim, ACCEPTED, now=NOON + timedelta(minutes=7))

    with pytest.raises(SettleRefused, match="proposed anew"):
        approve(proposal, person(Role.SUPERVISOR), now=NOON + timedelta(hours=1))

    asked.refresh_from_db()
    assert asked.state == "accepted"


@pytest.mark.parametrize(
    "change",
    [
        lambda: see(
            trade_snapshot(updatedAt=stamp(NOON), items=[item_document(status="active")]),
            now=NOON + timedelta(minutes=1),
        ),
        lambda: Cancellation.objects.get().attempts.update(answered_at=NOON + timedelta(seconds=1)),
        lambda: Cancellation.objects.filter(pk=Cancellation.objects.get().pk).move(
            to=CancellationState.UNCERTAIN, now=NOON + timedelta(minutes=1), answer_key="TRADE_NOT_CANCELLABLE"
        ),
    ],
    ids=["the offer went out", "an answer came late", "AssetPay refused"],
)
def test_a_proposal_is_void_once_what_it_stood_on_has_changed(supervisor: User, change: Callable[[], object]) -> None:
    proposal = settle(answered(), supervisor, now=NOON)
    change()

    with pytest.raises(SettleRefused, match="proposed anew"):
        approve(proposal, person(Role.SUPERVISOR), now=NOON + timedelta(minutes=2))

    anew = settle(Cancellation.objects.get(), supervisor, now=NOON + timedelta(minutes=3))
    assert approve(anew, person(Role.SUPERVISOR), now=NOON + timedelta(minutes=4)).settled_at is not None


def test_a_later_look_that_shows_the_same_leaves_a_proposal_as_it_is(supervisor: User) -> None:
    proposal = settle(answered(), supervisor, now=NOON)
    see(trade_snapshot(), now=NOON + timedelta(minutes=1))

    assert approve(proposal, person(Role.SUPERVISOR), now=NOON + timedelta(minutes=2)).settled_at is not None


def test_the_second_person_approves_the_proposal_on_their_page_and_no_other(supervisor: User) -> None:
    asked = answered()
    proposal = settle(asked, supervisor, now=NOON, note="asked support")
    on_the_page = Settlement.objects.get().seal
    settle(asked, supervisor, now=NOON, note="I just think so")

    for stale in (on_the_page, ""):
        with pytest.raises(SettleRefused, match="not the one on your page"):
            approve(proposal, person(Role.SUPERVISOR), now=NOON, seen=stale)

    asked.refresh_from_db()
    assert asked.state == "uncertain"


def test_a_proposal_from_before_it_was_bound_is_proposed_anew(supervisor: User) -> None:
    proposal = settle(answered(), supervisor, now=NOON)
    Settlement.objects.update(fingerprint="")

    with pytest.raises(SettleRefused, match="proposed anew"):
        approve(proposal, person(Role.SUPERVISOR), now=NOON)


@pytest.mark.parametrize("loss", ["switched off", "role taken"])
def test_the_word_of_somebody_who_may_settle_no_more_counts_no_more(supervisor: User, loss: str) -> None:
    proposal = settle(answered(), supervisor, now=NOON)
    if loss == "switched off":
        User.objects.filter(pk=supervisor.pk).update(is_active=False)
    else:
        supervisor.groups.clear()

    with pytest.raises(SettleRefused, match="may settle nothing any more"):
        approve(proposal, person(Role.SUPERVISOR), now=NOON)

    anew = settle(Cancellation.objects.get(), person(Role.SUPERVISOR), now=NOON)
    assert approve(anew, person(Role.SUPERVISOR), now=NOON).settled_at is not None


def test_a_form_that_is_older_than_what_stands_there_settles_nothing(supervisor: User) -> None:
    asked = answered()
    seen = fingerprint_to_settle(asked)
    see(trade_snapshot(updatedAt=stamp(NOON), items=[item_document(status="active")]), now=NOON + timedelta(minutes=30))

    with pytest.raises(SettleRefused, match="changed after your page"):
        settle_cancellation(
            cancellation_id=asked.pk,
            outcome="not_done",
            note="asked support",
            seen=seen,
            actor=supervisor,
            origin=Origin(Source.SCREEN, actor=supervisor),
            now=NOON + timedelta(minutes=31),
        )

    assert not Settlement.objects.exists()


NOT_CANCELLABLE = Refused(key="TRADE_NOT_CANCELLABLE", code=28, message="no", request_id="r", http_status=422)


@pytest.mark.parametrize("earlier", [UNKNOWN, ACCEPTED], ids=["unknown", "accepted"])
@pytest.mark.parametrize("way", ["click", "whole trade"])
def test_f36_not_cancellable_after_a_settlement_may_mean_that_it_is_being_cancelled(
    supervisor: User, earlier: object, way: str
) -> None:
    asked = answered(earlier)
    later = NOON + timedelta(minutes=31)
    see(trade_snapshot(), now=later)
    settle(asked, supervisor, now=later)
    if way == "click":
        ask(item_of(), now=later)
    else:
        request_whole_trade(
            trade_id=item_of().trade_id, reason="r", note="", actor=supervisor,
            origin=Origin(Source.SCREEN, actor=supervisor), now=later,
        )  # fmt: skip
    claim = claim_next(now=later + timedelta(minutes=2))
    assert claim is not None

    record_answer(claim, NOT_CANCELLABLE, now=later + timedelta(minutes=2))

    again = Cancellation.objects.latest("number")
    assert (again.number, again.state) == (2, "uncertain")
    assert "may already be cancelling" in again.waits_for
    assert not Refund.objects.exists()


def test_control_not_cancellable_without_a_settlement_is_a_refusal() -> None:
    assert answered(NOT_CANCELLABLE).state == "refused"


def test_what_people_settled_is_not_called_refused(supervisor: User) -> None:
    asked = answered()
    approve(settle(asked, supervisor, now=NOON), person(Role.SUPERVISOR), now=NOON)

    asked.refresh_from_db()
    assert (asked.state, asked.word) == ("refused", "Settled as not done")
    assert answered_word() == "Refused"


def answered_word() -> str:
    """What a screen calls one that AssetPay refused."""
    return Cancellation(state=CancellationState.REFUSED, answer_key="TRADE_NOT_CANCELLABLE").word


def approved_while_it_is_proposed_anew() -> tuple[str, list[object]]:
    """The note that was settled, where the proposer writes another one after the approver has looked at theirs."""
    pair = [person(Role.SUPERVISOR), person(Role.SUPERVISOR)]
    asked = answered()
    proposal = settle(asked, pair[0], now=NOON, note="asked support")
    seal, looked, replaced = proposal.seal, Event(), Event()

    def void_because(settlement: Settlement) -> str:
        looked.set()
        replaced.wait(1)
        return ""

    def act(number: int) -> Settlement:
        if number:
            return approve(proposal, pair[1], now=NOON, seen=seal)
        assert looked.wait(20)
        try:
            return settle(asked, pair[0], now=NOON, note="I just think so")
        finally:
            replaced.set()

    with mock.patch.object(Settlement, "void_because", void_because):
        outcomes = race(2, act)
    return Settlement.objects.get().note, list(outcomes)


@pytest.mark.django_db(transaction=True)
def test_what_was_approved_cannot_be_written_anew_meanwhile() -> None:
    note, outcomes = approved_while_it_is_proposed_anew()

    assert note == "asked support"
    assert [type(outcome).__name__ for outcome in outcomes] == ["SettleRefused", "Settlement"]


@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_another_note_is_settled_than_was_approved() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets one transaction write at a time, lock or not")

    with mock.patch.object(QuerySet, "select_for_update", lambda rows, **_: rows):
        note, _ = approved_while_it_is_proposed_anew()

    assert note == "I just think so"
