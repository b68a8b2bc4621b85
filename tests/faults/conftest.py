"""What every fault test can rely on."""

import logging
from collections.abc import Iterator

import pytest

from tests.faults.test_load import desk  # noqa: F401 # a fixture for whoever needs the server that is shipped


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Faults by the thousand: their log lines would fill the report and take most of the time."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
