"""AssetPay's four rules, and that the list asks the same as the button."""

from datetime import datetime, timedelta

import pytest

from tests.wire import NOON, item_document, stamp, trade_snapshot
from withdrawals.actions.audit import Origin
from withdrawals.actions.trades import mirror_trade
from withdrawals.models import Evidence, Item, Read, Route, Rule, Source, Status, Trade

WINDOW = timedelta(minutes=30)
AGES = {
    "just made": timedelta(0),
    "a moment too young": WINDOW - timedelta(milliseconds=1),
    "old enough to the moment": WINDOW,
    "a day old": timedelta(days=1),
}


def mirrored(*, status: str, game: str, opened_at: datetime, trade_id: str = "trade-one") -> Item:
    snapshot = trade_snapshot(
        trade_id, status=status, game=game, createdAt=stamp(opened_at), items=[item_document(status=status)]
    )
    read = Read(route=Route.SECURE, read_at=NOON, body_sha256="0" * 64, document=snapshot.document)
    mirror_trade(snapshot, evidence=Evidence(read=read), origin=Origin(Source.READ, name="test"), now=NOON)
    return Item.objects.select_related("trade").get(trade__assetpay_id=trade_id)


@pytest.mark.django_db
@pytest.mark.parametrize("status", [*Status.values, "frozen"])
@pytest.mark.parametrize("game", ["730", "252490", "570"])
@pytest.mark.parametrize("kind", ["withdraw", "deposit"])
@pytest.mark.parametrize("age", AGES.values(), ids=AGES)
def test_the_queryset_and_the_method_agree(status: str, game: str, kind: str, age: timedelta) -> None:
    item = mirrored(status=status, game=game, opened_at=NOON - age)
    # Deposits are not mirrored; should one ever stand here, both twins must refuse it.
    Trade.objects.filter(pk=item.trade_id).update(type=kind)
    Item.objects.filter(pk=item.pk).update(is_cs2_withdrawal=kind == "withdraw" and game == "730")
    item = Item.objects.select_related("trade").get(pk=item.pk)

    refusal = item.cancel_refusal(NOON)

    assert (refusal is None) == Item.objects.cancellable(NOON).filter(pk=item.pk).exists()
    only_too_young = refusal is not None and refusal.rule == Rule.OLD_ENOUGH
    assert only_too_young == Item.objects.cancellable_later(NOON).filter(pk=item.pk).exists()


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["initiated", "pending", "active", "hold", "frozen"])
def test_an_item_that_has_not_ended_can_be_cancelled_once_old_enough(status: str) -> None:
    item = mirrored(status=status, game="730", opened_at=NOON - WINDOW)

    assert item.cancel_refusal(NOON) is None


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["completed", "failed", "reverted", "canceled", "declined"])
def test_an_item_that_ended_is_never_cancelled(status: str) -> None:
    item = mirrored(status=status, game="730", opened_at=NOON - WINDOW)

    refusal = item.cancel_refusal(NOON)

    assert refusal is not None
    assert (refusal.rule, refusal.passes_at) == (Rule.NOT_ENDED, None)


@pytest.mark.django_db
def test_a_young_item_names_the_moment_at_which_the_rule_passes() -> None:
    item = mirrored(status="pending", game="730", opened_at=NOON - timedelta(minutes=20))

    refusal = item.cancel_refusal(NOON)

    assert refusal is not None
    assert refusal.passes_at == NOON + timedelta(minutes=10)
    assert "12:10:00 UTC" in refusal.sentence


@pytest.mark.django_db
def test_a_rust_item_says_why_it_can_never_be_cancelled() -> None:
    item = mirrored(status="pending", game="252490", opened_at=NOON - timedelta(days=1))

    refusal = item.cancel_refusal(NOON)

    assert refusal is not None
    assert refusal.rule == Rule.CS2
    assert "Rust" in refusal.sentence
    assert item.cancellable_from is None


@pytest.mark.django_db
def test_the_offer_being_with_the_customer_is_a_warning_and_no_refusal() -> None:
    item = mirrored(status="active", game="730", opened_at=NOON - timedelta(days=1))

    assert item.is_offered
    assert item.cancel_refusal(NOON) is None
