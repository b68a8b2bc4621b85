from collections.abc import Iterator

import pytest

from sandbox.client import SandboxControl
from sandbox.testing import RunningSandbox, running_sandbox
from tests.sandbox.acting import PATIENCE, Caller, Merchant, open_shop

SECRETS = ("the-newest-secret-of-this-merchant-01", "the-previous-secret-of-this-merchant-0")


@pytest.fixture(scope="session")
def shop() -> Iterator[Merchant]:
    merchant, server = open_shop()
    yield merchant
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def served(shop: Merchant) -> Iterator[RunningSandbox]:
    with running_sandbox(callback_url=shop.url, api_secrets=SECRETS) as running:
        yield running


@pytest.fixture
def sandbox(served: RunningSandbox) -> RunningSandbox:
    served.control.reset()
    return served


@pytest.fixture
def merchant(sandbox: RunningSandbox, shop: Merchant) -> Merchant:
    shop.forget()
    return shop


@pytest.fixture
def control(sandbox: RunningSandbox, merchant: Merchant) -> SandboxControl:
    return sandbox.control


@pytest.fixture(scope="session")
def patient_caller(served: RunningSandbox) -> Iterator[Caller]:
    caller = Caller(served)
    yield caller
    caller.http.close()


@pytest.fixture
def caller(patient_caller: Caller) -> Caller:
    patient_caller.http.timeout = PATIENCE
    return patient_caller
