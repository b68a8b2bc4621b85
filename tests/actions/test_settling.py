"""What nobody knows is settled on what AssetPay showed since, or by two people; "done" never by hand."""

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from tests.desk import ask, deliver, item_of, news, person, see
from tests.wire import NOON, item_document, stamp, trade_snapshot
from withdrawals.actions.audit import Origin
from withdrawals.actions.cancellations import RetryRefused, retry_cancellation
from withdrawals.actions.sending import claim_next, record_answer, settle_abandoned
from withdrawals.actions.settlements import SettleRefused, approve_settlement, propose_settlement, settle_cancellation
from withdrawals.assetpay.cancels import CancelAnswer
from withdrawals.assetpay.errors import NotSent, OutcomeUnknown, ToldToWait
from withdrawals.models import AuditEntry, Cancellation, Refund, Role, Settlement, Source, User

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
    return act(cancellation_id=asked.pk, outcome=outcome, note=note, actor=who, origin=origin, now=now)  # type: ignore[operator,no-any-return]


def approve(settlement: Settlement, who: User, *, now: datetime) -> Settlement:
    return approve_settlement(settlement_id=settlement.pk, actor=who, origin=Origin(Source.SCREEN, actor=who), now=now)


def test_a_fresh_look_two_minutes_later_lets_one_person_settle_it(supervisor: User) -> None:
    asked = answered()
    seen_at = NOON + timedelta(minutes=2)
    see(trade_snapshot(), now=seen_at)

    settlement = settle(asked, supervisor, now=NOON + timedelta(minutes=3))

    asked.refresh_from_db()
    entry = AuditEntry.objects.latest("number")
    assert (asked.state, settlement.settled_at is not None) == ("refused", True)
    assert "read of 2026-03-02 12:02:00 UTC, sha256" in settlement.evidence
    assert settlement.evidence in asked.ended_because
    assert (entry.action, entry.reason, entry.actor) == ("cancellation.settled", "asked support", supervisor)


@pytest.mark.parametrize("seconds", [-30, 0, 60, 119])
def test_an_earlier_look_is_no_evidence(supervisor: User, seconds: int) -> None:
    asked = answered()
    see(trade_snapshot(), now=NOON + timedelta(seconds=seconds))

    settlement = settle(asked, supervisor, now=NOON + timedelta(hours=1))

    asked.refresh_from_db()
    assert (settlement.settled_at, asked.state) == (None, "uncertain")


def test_a_look_that_lacks_the_item_is_no_evidence(supervisor: User) -> None:
    asked = answered()
    see(trade_snapshot(items=[item_document("another")]), now=NOON + timedelta(minutes=5))

    assert settle(asked, supervisor, now=NOON + timedelta(hours=1)).settled_at is None


def test_a_delivery_counts_from_what_it_tells_not_from_when_it_came(supervisor: User) -> None:
    asked = answered()
    later = NOON + timedelta(minutes=10)
    deliver(news(updatedAt=stamp(NOON - timedelta(minutes=5))), now=later, delivery_id="old-news")
    assert Cancellation.objects.get().settle_evidence() == ""

    deliver(news(updatedAt=stamp(later)), now=later, delivery_id="fresh-news")

    settlement = settle(asked, supervisor, now=later)
    assert settlement.settled_at == later
    assert "delivery of 2026-03-02 12:10:00" in settlement.evidence


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
    see(trade_snapshot(updatedAt=stamp(NOON)), now=NOON + timedelta(minutes=2))
    assert not Refund.objects.exists()

    settle(asked, supervisor, now=NOON + timedelta(minutes=3))
    assert not Refund.objects.exists()

    # Only AssetPay's own final status opens it, even then.
    later = NOON + timedelta(minutes=9)
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
