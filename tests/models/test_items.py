"""An item by itself: what it is called, when it may be cancelled, and which of them a question finds."""

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from tests.factories import DeliveryFactory, ItemFactory, TradeFactory
from tests.wire import NOON
from withdrawals.models import Item, Read, Refusal, Route, Rule, Status, Trade
from withdrawals.models.item import ANNOUNCED_WITHIN, AUTO_CANCEL_NEAR, FEW, cancel_window

pytestmark = pytest.mark.django_db

WINDOW = timedelta(minutes=30)
TICK = timedelta(microseconds=1)


def item(**given: Any) -> Item:
    return ItemFactory(**{"opened_at": NOON - timedelta(hours=1), "status_changed_at": NOON} | given)


def refusal(of: Item) -> Refusal:
    refused = of.cancel_refusal(NOON)
    assert refused is not None
    return refused


def test_the_windows_are_as_long_as_they_say(settings: Settings) -> None:
    settings.CANCEL_WINDOW_SECONDS = 1_800

    assert cancel_window() == WINDOW
    assert timedelta(minutes=2) == ANNOUNCED_WITHIN == AUTO_CANCEL_NEAR


@pytest.mark.parametrize("status", Status)
def test_what_a_status_means(status: Status) -> None:
    one = Item(status=status, reported_status=status)

    assert one.has_ended is (status not in ("initiated", "pending", "active", "hold"))
    assert one.ended_undelivered is (status in ("failed", "declined", "canceled", "reverted"))
    assert one.is_offered is (status in ("active", "hold"))
    assert one.is_held is (status == "hold")
    assert one.unknown_status == ""
    assert Item(status=status, reported_status="frozen").unknown_status == "frozen"


def test_it_is_called_by_the_best_name_that_is_known() -> None:
    names = {"market_hash_name": "AK-47", "name": "Rifle", "assetpay_id": "66f0c0de12345678"}

    assert Item(**names).title == "AK-47"
    assert Item(**names | {"market_hash_name": None}).title == "Rifle"
    assert Item(**names | {"market_hash_name": None, "name": None}).title == "Unnamed item 12345678"


def test_only_a_cs2_withdrawal_has_a_moment_at_which_it_may_be_cancelled() -> None:
    assert item().cancellable_from == NOON - timedelta(minutes=30)
    assert item(is_cs2_withdrawal=False).cancellable_from is None


@pytest.mark.parametrize(
    ("given", "rule", "words"),
    [
        ({"trade__type": "deposit"}, Rule.WITHDRAWAL, "this is a deposit"),
        ({"trade__game": "252490"}, Rule.CS2, "Rust items can never be cancelled"),
        ({"trade__game": "570"}, Rule.CS2, "Other games' items can never be cancelled"),
        ({"status": "completed"}, Rule.NOT_ENDED, "The customer has this item"),
        ({"opened_at": NOON - WINDOW + TICK}, Rule.OLD_ENOUGH, "AssetPay takes a cancel from 12:00:00 UTC on"),
    ],
)
def test_each_rule_refuses_in_words_and_says_what_to_do_instead(given: dict[str, Any], rule: Rule, words: str) -> None:
    one = item(**given)

    refused = refusal(one)

    assert (refused.rule, words in refused.sentence, refused.instead != "") == (rule, True, True)
    only_young = rule == Rule.OLD_ENOUGH
    assert refused.passes_at == (NOON + TICK if only_young else None)
    assert one.arm_refusal(NOON) == (None if only_young else refused)


def test_what_can_be_cancelled_now_is_not_armed() -> None:
    one = item(opened_at=NOON - WINDOW)

    refused = one.arm_refusal(NOON)

    assert one.cancel_refusal(NOON) is None
    assert refused is not None
    assert (refused.rule, refused.instead) == (Rule.OLD_ENOUGH, "Cancel it.")
    assert "nothing to wait for" in refused.sentence


@pytest.mark.parametrize(
    ("auto_cancel", "fires"),
    [
        (None, timedelta(0)),
        (timedelta(0), AUTO_CANCEL_NEAR),
        (AUTO_CANCEL_NEAR, 2 * AUTO_CANCEL_NEAR),
        (-AUTO_CANCEL_NEAR, timedelta(0)),
        (AUTO_CANCEL_NEAR + TICK, timedelta(0)),
        (-AUTO_CANCEL_NEAR - TICK, timedelta(0)),
        (timedelta(minutes=-1), timedelta(minutes=1)),
    ],
)
def test_it_fires_when_its_window_opens_or_two_minutes_after_a_near_auto_cancel(
    auto_cancel: timedelta | None, fires: timedelta
) -> None:
    margin = timedelta(seconds=7)
    opens_at = NOON + WINDOW + margin
    one = item(opened_at=NOON)
    one.trade.auto_cancel_at = None if auto_cancel is None else opens_at + auto_cancel

    assert one.fires_at(margin) == opens_at + fires


# --- Which of them a question finds -----------------------------------------------------------------------


def read(trade: Trade) -> Read:
    return Read.objects.create(trade=trade, route=Route.SECURE, read_at=NOON, body_sha256="0" * 64, document="{}")


@pytest.mark.parametrize(
    ("before", "is_asked"),
    [
        (ANNOUNCED_WITHIN, False),
        (ANNOUNCED_WITHIN + TICK, True),
        (timedelta(hours=1), True),
        (timedelta(hours=1) + TICK, False),
    ],
)
def test_what_changed_within_the_hour_and_long_enough_ago_should_have_been_announced(
    before: timedelta, is_asked: bool
) -> None:
    item(status_changed_at=NOON - before)

    assert Item.objects.changed_lately(NOON).exists() is is_asked


def test_what_a_read_brought_in_need_not_have_been_announced() -> None:
    moment = NOON - timedelta(minutes=30)
    item(status_changed_at=moment, trade__first_seen_at=moment)

    assert not Item.objects.changed_lately(NOON).exists()


@pytest.mark.parametrize(("announced", "is_missed"), [(None, True), (-TICK, True), (timedelta(0), False)])
def test_what_only_a_read_told_was_missed(announced: timedelta | None, is_missed: bool) -> None:
    moment = NOON - timedelta(minutes=30)
    trade = TradeFactory(first_seen_at=NOON - timedelta(days=1))
    only_read = item(trade=trade, status_changed_at=moment, status_read=read(trade))
    item(trade=trade, status_changed_at=moment, status_delivery=DeliveryFactory())
    item(trade=trade, status_changed_at=NOON - timedelta(days=1), status_read=read(trade))
    if announced is not None:
        DeliveryFactory(trade=trade, received_at=moment + announced)

    assert list(Item.objects.learned_by_reading(NOON)) == [only_read] * is_missed


def test_what_has_ended_is_found_by_its_status() -> None:
    for status in Status:
        item(status=status)

    ended = set(Item.objects.ended().values_list("status", flat=True))
    assert ended == {"failed", "declined", "canceled", "completed", "reverted"}


def test_an_id_is_looked_for_once_where_few_carry_it_and_names_come_without_keys() -> None:
    one, other = item(external_id="order-1"), item(market_hash_name="AWP | Asiimov")

    found, is_id = Item.objects.search(one.assetpay_id)
    assert (list(found), found.few, is_id) == ([one], (one.pk,), True)
    found, is_id = Item.objects.search(f"…{other.assetpay_id[-4:]}")
    assert (set(found) >= {other}, other.pk in found.few, is_id) == (True, True, True)
    found, is_id = Item.objects.search("asiimov")
    assert (list(found), found.few, is_id) == ([other], (), False)
    found, is_id = Item.objects.search("nothing like it")
    assert (list(found), is_id) == ([], False)


def test_letters_alone_are_a_name_before_they_are_the_end_of_an_id_and_nothing_else_is() -> None:
    named = {word: item(market_hash_name=f"Charm | {word}") for word in ("beef", "b33f")}
    ending = {word: item(assetpay_id=f"66f0c0dec3d4e5f6a7b8{word}") for word in ("beef", "b33f", "cafe")}

    found = {word: Item.objects.search(word) for word in ("beef", "b33f", "cafe")}

    assert {word: (list(rows), is_id) for word, (rows, is_id) in found.items()} == {
        "beef": ([named["beef"]], False),
        "b33f": ([ending["b33f"]], True),
        "cafe": ([ending["cafe"]], True),
    }


@pytest.mark.parametrize("pasted", ["order-7", "…0dd1"])
@pytest.mark.parametrize("many", [FEW, FEW + 1])
def test_keys_are_named_one_by_one_up_to_a_hundred(pasted: str, many: int) -> None:
    trade = TradeFactory(external_id="order-7")
    rows = [ItemFactory.build(trade=trade, assetpay_id=f"66f0c0de{number:06x}0dd1") for number in range(many)]
    Item.objects.bulk_create(rows)

    found, is_id = Item.objects.search(pasted)

    assert (found.count(), len(found.few), is_id) == (many, many if many <= 100 else 0, True)


@pytest.mark.parametrize("column", ["external_id", "asset_id"])
def test_an_item_is_found_by_each_of_its_own_ids_and_by_its_trades(column: str) -> None:
    one = item(**{column: "31337000001"})
    item()

    assert list(Item.objects.with_ids(["31337000001"])) == [one]
    assert list(Item.objects.with_ids([one.assetpay_id.upper()])) == [one]
    assert list(Item.objects.with_ids([one.trade.assetpay_id])) == [one]
    assert list(Item.objects.with_ends([("", one.trade.assetpay_id[-16:])])) == [one]
    assert list(Item.objects.with_ends([("", one.assetpay_id[-16:])])) == [one]
