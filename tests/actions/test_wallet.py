"""The wallet, read by the clock from AssetPay's stand-in over HTTP."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from pytest_django import Settings

from sandbox.testing import RunningSandbox, running_sandbox
from tests.wire import NOON
from withdrawals.actions.wallet import note_wallet
from withdrawals.models import WalletReading

pytestmark = pytest.mark.django_db


@pytest.fixture
def sandbox(settings: Settings) -> Iterator[RunningSandbox]:
    with running_sandbox(callback_url="http://127.0.0.1:9/") as running:
        settings.ASSETPAY_BASE_URL = running.base_url
        settings.ASSETPAY_API_KEY = running.api_key
        yield running


def test_the_wallet_is_kept_with_its_time_and_grows_only_with_changes(sandbox: RunningSandbox) -> None:
    assert note_wallet(now=NOON)
    assert not note_wallet(now=NOON + timedelta(minutes=1))
    first = WalletReading.objects.get()
    sandbox.control.make_trade(items=[{"price": "12.34"}], announce=False)

    assert note_wallet(now=NOON + timedelta(minutes=2))

    latest = WalletReading.objects.latest_answer().first()
    assert latest is not None
    assert (first.read_at, first.last_read_at) == (NOON, NOON + timedelta(minutes=1))
    assert first.balance is not None
    assert (latest.balance, latest.pending_balance) == (first.balance - Decimal("12.34"), Decimal("12.34"))


def test_a_wallet_that_cannot_be_read_is_said_and_the_last_known_stays(
    sandbox: RunningSandbox, settings: Settings
) -> None:
    note_wallet(now=NOON)
    settings.ASSETPAY_API_KEY = ""

    assert note_wallet(now=NOON + timedelta(minutes=1))

    latest = WalletReading.objects.latest_answer().first()
    assert latest is not None
    assert latest.last_read_at == NOON
    assert "ASSETPAY_API_KEY" in WalletReading.objects.latest("pk").failure
