"""F49: a new release takes over under twenty callbacks a second, through the proxy, with a migration in the middle."""

from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import pytest
from django.db import connection

from tests.desk import news, signed
from tests.faults.door import DOOR, moment
from tests.running.processes import end, free_port, migrate, proxy, running, wait_until, web, web_arguments
from tests.running.test_proxy import ask
from withdrawals.models import Delivery, Item, Verdict

NEXT = "tests.running.next_settings"


def deliver(port: int, number: int, told: set[int | str]) -> None:
    """As AssetPay does: the same delivery again until it is answered 2xx."""
    body = news(f"trade-{number:06d}")
    seal = {"X_AssetPay_Signature": signed(body, now=moment(), delivery_id=f"d-{number}"), "X_Callback_Copy": "1"}

    def is_taken() -> bool:
        told.add(answer := ask(port, "POST", DOOR, body, **seal))
        return answer == 200

    wait_until(is_taken)


@pytest.mark.soak  # two minutes of processes coming and going
@pytest.mark.parametrize("count", [200])
def test_f49_a_rolling_deploy_with_a_migration_loses_no_callback(database_url: str, count: int) -> None:
    web_port, told = free_port(), set[int | str]()
    with web(web_port, DATABASE_URL=database_url) as old, proxy(web_port) as port, ThreadPoolExecutor(8) as senders:
        wait_until(lambda: ask(port, "GET", "/health/ready") == 200)
        under_way: list[Future[None]] = []

        def send(how_many: int) -> None:
            for number in range(len(under_way), len(under_way) + how_many):
                under_way.append(senders.submit(deliver, port, number, told))
                Event().wait(0.05)

        send(count // 4)
        with ThreadPoolExecutor(1) as operator:
            migrated = operator.submit(migrate, DATABASE_URL=database_url, DJANGO_SETTINGS_MODULE=NEXT)
            send(count // 4)
            migrated.result()
        try:
            # The new one takes its place beside the old one, and only then the old one goes.
            arguments = [*web_arguments(), "--bind", f"127.0.0.1:{web_port}", "--reuse-port"]
            with running(*arguments, DATABASE_URL=database_url, DJANGO_SETTINGS_MODULE=NEXT) as new:
                send(count // 4)
                end(old)
                send(count - len(under_way))
                for each in under_way:
                    each.result()
                assert new.poll() is None
        finally:
            migrate("next_release", "zero", DATABASE_URL=database_url, DJANGO_SETTINGS_MODULE=NEXT)

    assert Delivery.objects.filter(verdict=Verdict.APPLIED).count() == Delivery.objects.count() == count
    assert Item.objects.count() == count
    assert told <= {200, 503}, "through the proxy AssetPay never sees a connection break"
    print(f"{count} callbacks at 20/s over a deploy on {connection.vendor}: answers {sorted(map(str, told))}")  # noqa: T201
