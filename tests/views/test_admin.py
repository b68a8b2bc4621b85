"""Django's admin looks, and keeps accounts; it does nothing else."""

import pytest
from django.test import Client

from tests.factories import (
    CancellationFactory,
    DeliveryFactory,
    ItemFactory,
    RefundFactory,
    RejectedCallFactory,
    TradeFactory,
)
from tests.views.reading import text
from withdrawals.models import Refund, RefundState, User

pytestmark = pytest.mark.django_db

FACTORIES = {
    "cancellation": CancellationFactory,
    "delivery": DeliveryFactory,
    "item": ItemFactory,
    "refund": RefundFactory,
    "rejectedcall": RejectedCallFactory,
    "trade": TradeFactory,
}


@pytest.fixture
def operator(client: Client) -> Client:
    """The browser of somebody who may do everything that the admin offers."""
    client.force_login(User.objects.create_superuser("root@desk.example", "withdraw-skins-1"))
    return client


@pytest.mark.parametrize("name", FACTORIES)
def test_a_table_can_be_looked_at_and_not_touched(operator: Client, name: str) -> None:
    row = FACTORIES[name]()
    base = f"/admin/withdrawals/{name}/"

    assert operator.get(base).status_code == 200
    assert operator.get(f"{base}{row.pk}/change/").status_code == 200
    assert operator.get(f"{base}add/").status_code == 403
    assert operator.post(f"{base}{row.pk}/change/", {"state": "confirmed"}).status_code == 403
    assert operator.post(f"{base}{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_no_action_of_the_admin_touches_a_row(operator: Client) -> None:
    refund = RefundFactory()

    operator.post(
        "/admin/withdrawals/refund/", {"action": "delete_selected", "_selected_action": [refund.pk], "post": "yes"}
    )

    assert Refund.objects.get().state == RefundState.DUE


def test_a_callbacks_bytes_are_not_shown_there(operator: Client) -> None:
    delivery = DeliveryFactory(body=b'{"u":"?token=SeCrEt"}', signature="SiGnAtUrE")

    body = text(operator.get(f"/admin/withdrawals/delivery/{delivery.pk}/change/"))

    assert "SeCrEt" not in body
    assert "SiGnAtUrE" not in body


def test_an_account_is_made_by_e_mail(operator: Client) -> None:
    form = {
        "email": "mira@desk.example",
        "usable_password": "true",
        "password1": "withdraw-skins-1",
        "password2": "withdraw-skins-1",
    }

    response = operator.post("/admin/withdrawals/user/add/", form)

    assert response.status_code == 302
    assert User.objects.get(email="mira@desk.example").check_password("withdraw-skins-1")


def test_the_admin_has_no_log_in_of_its_own(client: Client) -> None:
    response = client.get("/admin/login/")

    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/")
