"""F72, P28: no secret in any log, answer or table. The controls plant one."""

import io
import logging
import uuid

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.conf import LazySettings, settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from tests.canaries import canaries, shown_in, watch_answers
from tests.desk import ask, deliver, item_of, news, person, see
from tests.factories import PASSWORD
from tests.wire import NOON, trade_snapshot
from withdrawals.actions.sending import drain
from withdrawals.gateway import cancel_item
from withdrawals.middleware import RequestLog
from withdrawals.models import Role


def dump() -> str:
    """Every row of every table, as text."""
    with connection.cursor() as cursor:
        rows: list[object] = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 # a table of ours
            rows += cursor.fetchall()
    return "".join(str(bytes(cell) if isinstance(cell, memoryview) else cell) for row in rows for cell in row)  # type: ignore[attr-defined]


@pytest.mark.django_db
def test_f72_no_table_holds_a_secret_after_a_busy_day() -> None:
    seed = generate_totp_secret()
    supervisor = person(Role.SUPERVISOR)
    TOTP.activate(supervisor, seed)
    codes = RecoveryCodes.activate(supervisor).generate_codes()
    see(trade_snapshot())
    deliver(news(), now=NOON)
    ask(item_of(), actor=supervisor)
    drain(clock=lambda: NOON)  # nobody listens where AssetPay should be: the error is kept too
    browser = Client()
    browser.post("/accounts/login/", {"login": supervisor.email, "password": PASSWORD})
    browser.post("/accounts/login/", {"login": supervisor.email, "password": "a-wrong-password-7"})
    browser.force_login(supervisor)
    browser.post("/accounts/reauthenticate/", {"password": PASSWORD})

    everything = dump()

    assert supervisor.email in everything
    assert shown_in(everything) == []
    assert [text for text in (seed, *codes, "a-wrong-password-7") if text in everything] == []


@pytest.mark.django_db
def test_f72_the_log_tells_no_secret_when_assetpay_cannot_be_reached() -> None:
    see(trade_snapshot())
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    logging.getLogger().addHandler(handler)
    try:
        with pytest.raises(Exception) as refused:  # which one is not what is asked here
            cancel_item(item_of(), request_id=uuid.uuid4(), now=NOON)
    finally:
        logging.getLogger().removeHandler(handler)

    assert shown_in(written.getvalue() + str(refused.value)) == []


def test_f72_the_log_of_requests_tells_no_one_time_link_and_no_query() -> None:
    link = RequestFactory().get("/accounts/password/reset/key/2-digpkf-254106cba59ae6f/", {"q": "token=AbCdEfGh"})

    assert RequestLog.format_request(link) == "GET /accounts/password/reset/key/..."
    assert RequestLog.format_request(RequestFactory().post("/items/7/cancel/?code=x")) == "POST /items/7/cancel/"
    assert "withdrawals.middleware.RequestLog" in settings.MIDDLEWARE


def test_the_controls_a_secret_that_is_shown_is_seen() -> None:
    def leaking(request: HttpRequest) -> HttpResponse:
        return HttpResponse(f"oops {settings.ASSETPAY_API_KEY}")

    request = HttpRequest()
    request.path = "/leak/"
    with pytest.raises(AssertionError, match="ASSETPAY_API_KEY"):
        watch_answers(leaking)(request)

    assert shown_in(f"x{settings.SECRET_KEY}x") == ["SECRET_KEY"]


def test_there_is_something_to_look_for(settings: LazySettings) -> None:
    assert len(canaries()) == 9
    assert len(set(canaries().values())) == 9
