"""What each answer of AssetPay means for a cancellation, decided without a database."""

from datetime import timedelta

import pytest

from tests.wire import NOON
from withdrawals.actions.judgement import judge_answer, judge_lost_worker
from withdrawals.assetpay.errors import NotSent, OutcomeUnknown, Refused, TokenRejected, ToldToWait
from withdrawals.gateway import CancelAnswer, CannotAsk
from withdrawals.models import Cancellation
from withdrawals.models.answers import SENTENCES, answer_sentence


def sending(**fields: object) -> Cancellation:
    return Cancellation(**fields)


def refused(key: str, kind: type[Refused] = Refused) -> Refused:
    return kind(key=key, code=28, message="No.", request_id="r-1", http_status=400)


def unknown(*, lost: bool) -> OutcomeUnknown:
    return OutcomeUnknown(reason="ReadTimeout", http_status=None, request_id="r-1", lost_answer=lost)


def told_to_wait(seconds: float) -> ToldToWait:
    return ToldToWait(
        seconds=seconds, key="RATE_LIMITED", code=1005, message="", request_id="r", http_status=429, stated=True
    )


def test_a_yes_is_accepted_and_not_the_end() -> None:
    answer = CancelAnswer(trade_id="t", item_id="i", external_id=None, request_id="r-1")

    judgement = judge_answer(sending(), answer, now=NOON)

    assert judgement.state == "accepted"
    assert judgement.changes["accepted_at"] == NOON


@pytest.mark.parametrize(
    "key",
    ["TRADE_NOT_CANCELLABLE", "TRADE_CANCEL_UNSUPPORTED", "FORBIDDEN", "ITEM_NOT_FOUND", "TRADE_NOT_FOUND", "NEW_KEY"],
)
def test_a_no_is_refused_with_assetpays_words_and_ours(key: str) -> None:
    judgement = judge_answer(sending(), refused(key), now=NOON)

    assert (judgement.state, judgement.key, judgement.message) == ("refused", key, "No.")
    assert answer_sentence(key)


@pytest.mark.parametrize(("earlier", "pause"), [(0, 30), (1, 60), (2, 120)])
def test_too_soon_is_asked_again_with_a_growing_pause(earlier: int, pause: int) -> None:
    judgement = judge_answer(sending(too_soon_count=earlier), refused("TRADE_CANCEL_TOO_SOON"), now=NOON)

    assert judgement.state == "requested"
    assert judgement.changes["send_from"] == NOON + timedelta(seconds=pause)
    assert judgement.changes["too_soon_count"] == earlier + 1
    assert "too soon" in str(judgement.changes["waits_for"])


def test_too_soon_four_times_is_a_refusal() -> None:
    judgement = judge_answer(sending(too_soon_count=3), refused("TRADE_CANCEL_TOO_SOON"), now=NOON)

    assert judgement.state == "refused"


def test_being_told_to_wait_pauses_the_merchant_and_asks_again() -> None:
    judgement = judge_answer(sending(), told_to_wait(45), now=NOON)

    assert (judgement.state, judgement.outcome) == ("requested", "wait")
    assert judgement.pause_until == judgement.changes["send_from"] == NOON + timedelta(seconds=45)


def test_a_rejected_token_is_renewed_once() -> None:
    first = judge_answer(sending(), refused("TOKEN_EXPIRED", TokenRejected), now=NOON)
    second = judge_answer(sending(token_renewals=1), refused("TOKEN_EXPIRED", TokenRejected), now=NOON)

    assert (first.state, first.changes["send_from"], first.changes["token_renewals"]) == ("requested", NOON, 1)
    assert second.state == "refused"


def test_what_never_left_is_sent_again_with_a_growing_pause() -> None:
    pauses = [
        judge_answer(sending(not_sent_count=count), NotSent("ConnectError"), now=NOON).changes["send_from"]
        for count in range(5)
    ]

    assert pauses == [NOON + timedelta(seconds=seconds) for seconds in (5, 15, 60, 300, 300)]


def test_a_lost_answer_is_unknown_and_may_be_asked_once_more() -> None:
    first = judge_answer(sending(), unknown(lost=True), now=NOON)
    second = judge_answer(sending(was_resent=True, was_uncertain=True), unknown(lost=True), now=NOON)

    assert (first.state, first.changes["may_resend"]) == ("uncertain", True)
    assert (second.state, second.changes["may_resend"]) == ("uncertain", False)


def test_after_a_server_error_nothing_is_sent_again() -> None:
    judgement = judge_answer(sending(), unknown(lost=False), now=NOON)

    assert (judgement.state, judgement.changes["may_resend"]) == ("uncertain", False)


def test_a_dead_worker_leaves_a_lost_answer() -> None:
    judgement = judge_lost_worker(sending(), now=NOON)

    assert (judgement.state, judgement.changes["may_resend"]) == ("uncertain", True)


@pytest.mark.parametrize("key", ["TRADE_NOT_CANCELLABLE", "FORBIDDEN", "NEW_KEY"])
def test_a_no_after_an_unknown_outcome_stays_unknown(key: str) -> None:
    judgement = judge_answer(sending(was_uncertain=True, was_resent=True), refused(key), now=NOON)

    assert judgement.state == "uncertain"
    assert not judgement.changes.get("may_resend", False)


@pytest.mark.parametrize("answer", [told_to_wait(5), NotSent("ConnectError")])
def test_not_done_after_an_unknown_outcome_stays_unknown_and_keeps_its_one_resend(answer: Exception) -> None:
    judgement = judge_answer(sending(was_uncertain=True, was_resent=True), answer, now=NOON)

    assert (judgement.state, judgement.changes["may_resend"], judgement.changes["was_resent"]) == (
        "uncertain",
        True,
        False,
    )


def test_too_soon_after_an_unknown_outcome_shows_that_nothing_was_done() -> None:
    judgement = judge_answer(sending(was_uncertain=True), refused("TRADE_CANCEL_TOO_SOON"), now=NOON)

    assert (judgement.state, judgement.changes["was_uncertain"]) == ("requested", False)


def test_what_we_lack_is_a_refusal_of_our_own() -> None:
    judgement = judge_answer(sending(), CannotAsk("No trade URL."), now=NOON)

    assert (judgement.state, judgement.outcome, judgement.message) == ("refused", "not_sent", "No trade URL.")


def test_an_exception_that_nobody_foresaw_is_unknown() -> None:
    judgement = judge_answer(sending(), ValueError("?"), now=NOON)

    assert (judgement.state, judgement.changes["may_resend"]) == ("uncertain", False)


def test_every_sentence_is_one_for_an_agent() -> None:
    assert all(sentence.endswith(".") and "_" not in sentence for sentence in SENTENCES.values())
    assert "NEW_KEY" in answer_sentence("NEW_KEY")
