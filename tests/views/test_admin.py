"""Django's admin looks, and keeps accounts; it does nothing else."""

from urllib.parse import quote

import pytest
from django.test import Client

from tests.factories import (
    CancellationFactory,
    DeliveryFactory,
    ItemFactory,
    RefundFactory,
    RejectedCallFactory,
    TradeFactory,
    UserFactory,
)
from tests.views.reading import text
from withdrawals.models import Refund, RefundState, User

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

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


def test_accounts_are_looked_at_and_not_touched(operator: Client) -> None:
    person = UserFactory()
    base = "/admin/withdrawals/user/"
    form = {"email": "mira@desk.example", "usable_password": "false", "is_superuser": "on"}

    assert operator.get(f"{base}{person.pk}/change/").status_code == 200
    assert operator.post(f"{base}add/", form).status_code == 403
    assert operator.post(f"{base}{person.pk}/change/", form).status_code == 403
    # There is no such page: this leads on to a person whose key would be "<pk>/password".
    operator.post(f"{base}{person.pk}/password/", form)
    person.refresh_from_db()
    assert (person.is_superuser, person.has_usable_password(), User.objects.count()) == (False, True, 2)


def test_no_address_of_the_admin_tells_what_it_does_not_show(operator: Client) -> None:
    person, delivery = UserFactory(), DeliveryFactory(signature="SiGnAtUrE")
    guesses = {
        f"user/?password__startswith={person.password[:6]}",
        f"user/?password__startswith={quote('no such hash')}",
        "user/?session_epoch__gte=0",
        "delivery/?signature__startswith=SiGn",
        f"delivery/?delivery_id={delivery.delivery_id}",
        "trade/?client_trade_url__contains=token",
        "cancellation/?requested_by__password__startswith=a",
    }

    answers = {guess: operator.get(f"/admin/withdrawals/{guess}").status_code for guess in guesses}

    assert answers == dict.fromkeys(guesses, 400)
    assert operator.get("/admin/withdrawals/user/?q=desk").status_code == 200


@pytest.mark.parametrize("address", ["mfa/authenticator/", "account/emailaddress/", "auth/group/", "password_change/"])
def test_no_table_of_a_library_can_be_edited_there(operator: Client, address: str) -> None:
    assert operator.get(f"/admin/{address}").status_code == 404


def test_whoever_looks_into_the_admin_may_do_nothing_at_the_desk_without_a_role(operator: Client) -> None:
    refund = RefundFactory()

    answer = operator.post(f"/refunds/{refund.pk}/confirm/", {"reference": "x", "seen": refund.fingerprint()})

    assert answer.status_code == 403
    assert Refund.objects.get().state == RefundState.DUE


def test_the_admin_has_no_log_in_of_its_own(client: Client) -> None:
    response = client.get("/admin/login/")

    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/")
