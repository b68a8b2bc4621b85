"""F35, F38, F41 through a hostile network: whatever it does to a call, a cancel ends as AssetPay's own record says."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import simplejson
from pytest_django import Settings

from sandbox.testing import RunningSandbox, running_sandbox
from tests.desk import ask, clock_at, item_of, person, see
from tests.faults.door import runs, seeded, tell
from tests.faults.hostile import (
    HTML,
    LARGE,
    HostileNetwork,
    Mood,
    answers,
    changes_length,
    cuts_answer,
    cuts_request,
    delays,
    hangs_up,
    hostile_network,
    pads,
    passes,
    throttles,
)
from withdrawals import gateway
from withdrawals.actions.sending import drain
from withdrawals.actions.trades import reconcile
from withdrawals.assetpay.documents import parse_json
from withdrawals.assetpay.errors import AssetPayError
from withdrawals.assetpay.snapshots import read_trade
from withdrawals.models import Attempt, Cancellation, CancellationState, Item, Refund

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

# What may stand on the page right after each, and whether AssetPay had been asked.
MOODS: dict[str, tuple[Mood, set[str], bool]] = {
    "friendly": (passes, {"accepted"}, True),
    "late": (delays(0.3), {"accepted"}, True),
    "later than anybody waits": (delays(2.5), {"uncertain"}, True),
    # Where the line is gone before the first byte could be written, it is known that nothing was asked.
    "hangs up": (hangs_up, {"uncertain", "requested"}, False),
    "crumbs": (throttles(40, 0.01), {"accepted"}, True),
    "crumbs for ever": (throttles(1, 0.05), {"uncertain"}, True),
    "a hotel's page": (answers("200 OK", HTML, asks_first=False), {"uncertain"}, False),
    "a hotel's page, after the fact": (answers("200 OK", HTML, asks_first=True), {"uncertain"}, True),
    "a bad gateway's page": (answers("502 Bad Gateway", HTML, asks_first=True), {"uncertain"}, True),
    "a page that was not found": (answers("404 Not Found", HTML, asks_first=True), {"uncertain"}, True),
    "redirected": (answers("302 Found", b"", asks_first=True), {"uncertain"}, True),
    "half a page": (answers("200 OK", HTML[:30], asks_first=True, length=len(HTML)), {"uncertain"}, True),
    "half a body": (changes_length(2), {"uncertain"}, True),
    "a body cut by its length": (changes_length(0.5), {"uncertain"}, True),
    "10 MB of blanks": (pads(LARGE), {"uncertain"}, True),
    "10 MB of nothing": (answers("200 OK", b"x" * LARGE, asks_first=True), {"uncertain"}, True),
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    with running_sandbox(cancels_per_minute=100_000) as running:
        yield running


@pytest.fixture
def network(sandbox: RunningSandbox, settings: Settings) -> Iterator[HostileNetwork]:
    with hostile_network(sandbox.base_url) as between:
        settings.ASSETPAY_BASE_URL = between.url
        settings.ASSETPAY_MERCHANT_ID = sandbox.merchant_id
        settings.ASSETPAY_API_KEY = sandbox.api_key
        settings.ASSETPAY_API_SECRETS = list(sandbox.secrets)
        settings.ASSETPAY_TIMEOUT_SECONDS = 1
        settings.ASSETPAY_CANCELS_PER_MINUTE = 60_000
        yield between


def withdrawal(sandbox: RunningSandbox) -> Item:
    made = sandbox.control.make_trade(age_seconds=7_200, auto_cancel_seconds=None, supplier_delay_seconds=0)
    see(read_trade(parse_json(simplejson.dumps(made, use_decimal=True).encode())), now=datetime.now(UTC))
    return item_of(made["id"], made["items"][0]["id"])


def cancel_through(network: HostileNetwork, mood: Mood, item: Item) -> Cancellation:
    """Click, and let a worker ask while the network is in this mood."""
    asked = ask(item, actor=person(), now=datetime.now(UTC))
    network.mood = mood
    drain(clock=clock_at(datetime.now(UTC)))
    network.mood = passes
    asked.refresh_from_db()
    return asked


def asked_of(sandbox: RunningSandbox, item: Item) -> list[bool]:
    """AssetPay's own record: each call for this item, and whether it set anything in motion."""
    calls = [
        call for call in sandbox.control.requests() if item.assetpay_id in call["path"] and call["method"] == "POST"
    ]
    return [call["effect"] for call in calls]


def ends_well(sandbox: RunningSandbox, item: Item) -> None:
    """The network is friendly again: one call at most follows, the reading back tells the end, one refund is owed."""
    later = datetime.now(UTC) + timedelta(seconds=40)
    drain(clock=clock_at(later))
    sandbox.control.advance(1)
    reconcile(now=later + timedelta(minutes=2))
    last = Cancellation.objects.get(item=item)
    assert last.state == CancellationState.CONFIRMED, last.state
    assert asked_of(sandbox, item).count(True) == 1
    assert len(asked_of(sandbox, item)) <= 2
    assert Refund.objects.filter(item=item).count() == 1
    unsent = Attempt.objects.filter(cancellation=last, outcome="not_sent").count()
    assert len(asked_of(sandbox, item)) <= Attempt.objects.filter(cancellation=last).count() - unsent


@pytest.mark.parametrize("name", MOODS)
def test_f35_f41_a_whole_cancel_through_a_hostile_network(
    name: str, network: HostileNetwork, sandbox: RunningSandbox
) -> None:
    mood, states, was_asked = MOODS[name]
    item = withdrawal(sandbox)

    asked = cancel_through(network, mood, item)

    assert asked.state in states
    # Waiting for another try only where the first is known not to have been sent.
    unsent = asked.attempts.order_by("-number").first().outcome == "not_sent"
    assert (asked.state == CancellationState.REQUESTED) == unsent
    assert bool(asked_of(sandbox, item)) == was_asked
    assert not Refund.objects.exists()
    if asked.may_resend or asked.state == CancellationState.ACCEPTED:
        ends_well(sandbox, item)


@pytest.mark.parametrize("cuts", runs(24, 600))
def test_f35_a_call_cut_at_any_byte_is_never_called_refused(
    cuts: int, network: HostileNetwork, sandbox: RunningSandbox
) -> None:
    chance, states = seeded(35), set()
    for number in range(cuts):
        item = withdrawal(sandbox)
        at = chance.randrange(700)
        mood = (cuts_request(at), cuts_answer(at), cuts_answer(at, resets=True))[number % 3]

        asked = cancel_through(network, mood, item)

        had_effect = any(asked_of(sandbox, item))
        assert asked.state in ("uncertain", "accepted"), (asked.state, number, at)
        assert had_effect or asked.state == "uncertain"
        states.add((asked.state, had_effect))
        if asked.may_resend or had_effect:
            ends_well(sandbox, item)
    assert ("uncertain", True) in states
    tell(f"{cuts} cuts: {sorted(states)}")


@pytest.mark.parametrize("name", MOODS)
def test_f41_a_read_through_a_hostile_network_brings_the_truth_or_nothing(
    name: str, network: HostileNetwork, sandbox: RunningSandbox
) -> None:
    item = withdrawal(sandbox)
    sandbox.control.change_item(item.trade.assetpay_id, item.assetpay_id, status="active")
    network.mood = MOODS[name][0]

    try:
        reconcile(now=datetime.now(UTC))
    except (AssetPayError, gateway.CannotAsk):
        stands = "pending"
    else:
        stands = "active"

    item.refresh_from_db()
    assert item.status == stands
    assert (stands == "active") == (MOODS[name][1] == {"accepted"})


def test_f38_where_nobody_listens_nothing_was_sent(settings: Settings, sandbox: RunningSandbox) -> None:
    with hostile_network(sandbox.base_url) as network:
        settings.ASSETPAY_BASE_URL = network.url
    settings.ASSETPAY_API_KEY, settings.ASSETPAY_API_SECRETS = sandbox.api_key, list(sandbox.secrets)
    item = withdrawal(sandbox)

    asked = cancel_through(network, passes, item)

    assert (asked.state, asked_of(sandbox, item)) == ("requested", [])
    assert asked.attempts.get().outcome == "not_sent"
