"""What AssetPay says beyond its documents is counted, whichever way it comes; a count never stops anything."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from pytest_django import Settings

from sandbox.client import SandboxControl
from sandbox.testing import running_sandbox
from tests.desk import ask, deliver, news, person, see
from tests.races import race
from tests.wire import NOON, item_document, stamp, trade_snapshot
from withdrawals.actions.audit import Origin
from withdrawals.actions.sending import drain
from withdrawals.actions.sightings import note_error_key
from withdrawals.actions.trades import CheckFailed, check_trade, import_trades, mirror_fetched, reconcile
from withdrawals.assetpay.errors import AssetPayError, Refused
from withdrawals.gateway import Fetched
from withdrawals.models import Item, Route, Sighting, Source, Trade

BY_HAND = Origin(Source.COMMAND, name="test")


def sighted() -> dict[str, int]:
    return dict(Sighting.objects.values_list("name", "times_seen"))


def made(control: SandboxControl) -> None:
    """One trade of the sandbox, mirrored; its item may be cancelled."""
    trade = control.make_trade(id="trade-one", age_seconds=3_600, auto_cancel_seconds=None, announce=False)
    import_trades([trade["id"]], origin=BY_HAND, now=NOON)


@pytest.mark.django_db
@pytest.mark.parametrize("status", [409, 500])
@pytest.mark.parametrize("with_key", [True, False], ids=["by the api-key", "as the customer"])
def test_an_error_key_that_nobody_documented_is_counted_on_every_read(
    settings: Settings, with_key: bool, status: int
) -> None:
    with running_sandbox(client_trade_lookup=True) as sandbox:
        settings.ASSETPAY_BASE_URL, settings.ASSETPAY_MERCHANT_ID = sandbox.base_url, sandbox.merchant_id
        settings.ASSETPAY_API_SECRETS, settings.ASSETPAY_API_KEY = list(sandbox.secrets), sandbox.api_key
        made(sandbox.control)
        settings.ASSETPAY_API_KEY = sandbox.api_key if with_key else ""
        sandbox.control.fault("error", times=9, key="WEATHER_TOO_BAD", status=status)

        try:
            reconcile(now=NOON)
        except AssetPayError as error:
            assert error.key == "WEATHER_TOO_BAD"
        with pytest.raises(CheckFailed):
            check_trade(trade_id=Trade.objects.get().pk, actor_origin=BY_HAND, now=NOON + timedelta(hours=1))
        if with_key:
            with pytest.raises(AssetPayError):
                import_trades(["another"], origin=BY_HAND, now=NOON)

    assert sighted() == {"error.key=WEATHER_TOO_BAD": 3 if with_key else 2}
    sighting = Sighting.objects.get()
    assert (sighting.first_seen_at, sighting.last_seen_at >= NOON) == (NOON, True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("status", [409, 500])
def test_an_error_key_that_nobody_documented_is_counted_on_a_cancel(settings: Settings, status: int) -> None:
    with running_sandbox() as sandbox:
        settings.ASSETPAY_BASE_URL, settings.ASSETPAY_MERCHANT_ID = sandbox.base_url, sandbox.merchant_id
        settings.ASSETPAY_API_SECRETS, settings.ASSETPAY_API_KEY = list(sandbox.secrets), sandbox.api_key
        made(sandbox.control)
        sandbox.control.fault("error", key="WEATHER_TOO_BAD", status=status)
        later = NOON + timedelta(days=900)
        ask(Item.objects.select_related("trade").get(), now=later)
        drain(clock=lambda: later)

    assert sighted() == {"error.key=WEATHER_TOO_BAD": 1}


@pytest.mark.django_db
def test_an_error_key_that_is_documented_is_not_counted(settings: Settings) -> None:
    with running_sandbox() as sandbox:
        settings.ASSETPAY_BASE_URL, settings.ASSETPAY_API_KEY = sandbox.base_url, "not-the-key"
        see(trade_snapshot())
        with pytest.raises(AssetPayError):
            reconcile(now=NOON)

    assert sighted() == {}


@pytest.mark.django_db(transaction=True)
def test_a_read_and_a_callback_that_hold_the_same_unknown_words_do_not_deadlock() -> None:
    def tell(number: int) -> None:
        for turn in range(8):
            at = stamp(NOON + timedelta(seconds=1 + 10 * turn + number))
            fields = {"updatedAt": at, "totalPrice": turn + number, "items": [item_document()], "brand_new": 1}
            if number % 2:
                assert deliver(news(f"trade-{number}", **fields)).verdict == "applied"
            else:
                fetched = Fetched(trade_snapshot(f"trade-{number}", **fields), Route.SECURE)
                mirror_fetched(fetched, origin=BY_HAND, now=NOON)

    outcomes = race(4, tell)

    assert outcomes == [None] * 4
    assert sighted() == {"trade.brand_new": 32}


@pytest.mark.django_db
def test_every_sort_of_sighting_stands_on_the_page_with_its_count_and_its_first_and_last_time(client: Client) -> None:
    client.force_login(person())
    odd = item_document(status="teleporting", gizmo=1)
    deliver(news(status="melted", source="moon", brandNew=1, items=[odd]), now=NOON)
    deliver(news(status="melted", items=[item_document()]), now=NOON + timedelta(hours=3))
    note_error_key(Refused("WEATHER_TOO_BAD", None, "", "r-1", 409), now=NOON)

    page = client.get("/alarms/").content.decode()

    rows = dict(re.findall(r"<tr><td data-label=\"Seen\"><code><bdi>(.*?)</bdi></code></td>(.*?)</tr>", page))
    assert set(rows) == {
        "trade.status=melted",
        "trade.source=moon",
        "trade.brandNew",
        "item.status=teleporting",
        "item.gizmo",
        "error.key=WEATHER_TOO_BAD",
    }
    assert 'class="num">2<' in rows["trade.status=melted"]
    assert re.findall(r'datetime="(.*?)"', rows["trade.status=melted"]) == [
        "2026-03-02T12:00:00.000+00:00",
        "2026-03-02T15:00:00.000+00:00",
    ]
