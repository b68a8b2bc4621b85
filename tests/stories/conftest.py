"""The stage of the stories: the desk and AssetPay's stand-in, speaking HTTP to each other."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from sandbox.client import SandboxControl
from sandbox.testing import RunningSandbox, running_sandbox
from tests.desk import person
from tests.factories import PASSWORD
from withdrawals.actions.sending import drain
from withdrawals.models import Item, Role


@dataclass
class Desk:
    """One person at a browser without JavaScript: pages and forms over HTTP."""

    http: httpx.Client

    def page(self, address: str) -> str:
        """Read a page."""
        answer = self.http.get(address)
        assert answer.status_code == 200, (address, answer.status_code)
        return answer.text

    def submit(self, address: str, **fields: str) -> httpx.Response:
        """Fill in the form that stands at `address`, keeping its hidden fields, and send it there."""
        form = self.http.get(address).text
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
        return self.http.post(address, data=hidden | fields, headers={"Referer": str(self.http.base_url)})


@dataclass
class Stage:
    """Everything that a story moves."""

    sandbox: RunningSandbox
    desk: Callable[[Role], Desk]

    @property
    def control(self) -> SandboxControl:
        """AssetPay's strings."""
        return self.sandbox.control

    def withdrawal(self, **spec: Any) -> Item:
        """A withdrawal at AssetPay, announced by a signed callback; its first item as the desk mirrors it."""
        defaults = {"age_seconds": 3_600, "auto_cancel_seconds": None, "announce": True, "supplier": "accept"}
        made = self.control.make_trade(**defaults | {"supplier_delay_seconds": 0} | spec)
        assert self.control.flush()
        return self.item(made["id"], made["items"][0]["id"])

    def item(self, trade_id: str, item_id: str) -> Item:
        """An item as the desk mirrors it."""
        return Item.objects.select_related("trade").get(trade__assetpay_id=trade_id, assetpay_id=item_id)

    def work(self) -> int:
        """Let the worker send what is due."""
        return drain(clock=lambda: datetime.now(UTC))

    def settle(self) -> None:
        """Let the suppliers act and every callback arrive."""
        self.control.advance(1)
        assert self.control.flush()


@pytest.fixture
def stage(transactional_db: None, live_server: LiveServer, settings: Settings) -> Iterator[Stage]:
    with running_sandbox(callback_url=f"{live_server.url}/callbacks/assetpay/", cancels_per_minute=600) as sandbox:
        settings.ASSETPAY_BASE_URL = sandbox.base_url
        settings.ASSETPAY_MERCHANT_ID = sandbox.merchant_id
        settings.ASSETPAY_API_KEY = sandbox.api_key
        settings.ASSETPAY_API_SECRETS = list(sandbox.secrets)
        settings.ASSETPAY_TIMEOUT_SECONDS = 1
        settings.ASSETPAY_CANCELS_PER_MINUTE = 600
        browsers: list[httpx.Client] = []

        def desk(role: Role) -> Desk:
            browsers.append(httpx.Client(base_url=live_server.url, follow_redirects=True, trust_env=False, timeout=30))
            desk = Desk(browsers[-1])
            login = desk.submit("/accounts/login/", login=person(role).email, password=PASSWORD)
            assert login.status_code == 200, login.text
            assert login.url.path == "/", login.text
            return desk

        yield Stage(sandbox, desk)
        for browser in browsers:
            browser.close()
