"""What the worklist weighs on the line."""

import pytest
from django.test import Client

from benchmarks.weight import FIRST_VISIT_KB, REFRESH_KB, first_visit_kb, refresh_kb
from tests.factories import CancellationFactory, ItemFactory
from tests.views.reading import rows

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


def test_fifty_rows_are_light_on_a_first_visit_and_lighter_when_looked_at_again(supervisor: Client) -> None:
    for number in range(25):
        ItemFactory(market_hash_name=f"★ Karambit | Doppler, phase {number} (Factory New)")
        CancellationFactory(item__market_hash_name=f"AK-47 | Redline {number} (Field-Tested)")
    page = "/items/?tab=all"
    assert len(rows(supervisor.get(page))) == 50

    assert first_visit_kb(supervisor, page) < FIRST_VISIT_KB
    assert refresh_kb(supervisor, page) < REFRESH_KB
