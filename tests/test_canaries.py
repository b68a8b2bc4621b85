"""F72, P28: no secret in any log, answer or table. The controls plant one."""

import io
import logging
import re
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.conf import LazySettings, settings
from django.contrib.auth.models import Group
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from tests.canaries import canaries, shown_in, watch_answers
from tests.desk import ask, deliver, item_of, news, person, see
from tests.factories import PASSWORD
from tests.roles import address, routes
from tests.wire import NOON, item_document, trade_snapshot
from withdrawals.actions.sending import drain
from withdrawals.gateway import cancel_item
from withdrawals.middleware import RequestLog
from withdrawals.models import Role
from withdrawals.outbound.notices import NoticeFailed, send_notice


def dump() -> str:
    """Every row of every table, as text."""
    with connection.cursor() as cursor:
        rows: list[object] = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 # a table of ours
            rows += cursor.fetchall()
    return "".join(str(bytes(cell) if isinstance(cell, memoryview) else cell) for row in rows for cell in row)  # type: ignore[attr-defined]


@pytest.fixture
def planted(settings: LazySettings) -> None:
    """Also what the suite leaves empty, since something would act on it. Nobody listens where Slack should be."""
    settings.METRICS_TOKEN = "canary-of-the-metrics-token"
    settings.SLACK_WEBHOOK_URL = "http://127.0.0.1:9/canary-of-the-slack-webhook"
    settings.AUDIT_ANCHOR_SLACK = "http://127.0.0.1:9/canary-of-the-slack-anchor"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Every line that is logged, from DEBUG on."""
    written, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(written), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.setLevel(level)
    root.removeHandler(handler)


def everything_shown(browser: Client) -> tuple[str, int]:
    """Every page, file and export that the matrix of addresses names, as this person gets it; how many."""
    texts = []
    for route in routes():
        if not route.startswith(("accounts/", "admin/", "callbacks/")):
            answer = browser.get(address(route))
            # An id that this route does not know is no page; most find a row that was made for them.
            body = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
            texts.append(f"{body.decode(errors='replace')}{answer.headers}")
    for form in ("csv", "jsonl"):
        answer = browser.post("/audit/export/", {"form": form})
        texts.append(b"".join(answer.streaming_content).decode())  # type: ignore[attr-defined]
    return "".join(texts), len(texts)


@pytest.mark.django_db
def test_f72_p28_nothing_shows_a_secret_after_a_busy_day(planted: None, log: io.StringIO) -> None:
    """Tables, log, pages, exports and case files. A one-time link is on one page, for who made it, and nowhere else."""
    seed, link_token = generate_totp_secret(), "AbCdEfGh"
    supervisor, admin = person(Role.SUPERVISOR), person(Role.ADMIN)
    supervisor.groups.add(Group.objects.get(name=Role.ADMIN))
    TOTP.activate(supervisor, seed)
    codes = RecoveryCodes.activate(supervisor).generate_codes()
    see(trade_snapshot())
    deliver(news(), now=NOON)
    ask(item_of(), actor=supervisor)
    drain(clock=lambda: NOON)  # nobody listens where AssetPay should be: the error is kept too
    deliver(news(status="reverted", items=[item_document(status="reverted")]), now=NOON)
    with pytest.raises(NoticeFailed) as unheard:
        send_notice("An alarm", "Nobody listens.")
    browser = Client()
    browser.post("/accounts/login/", {"login": supervisor.email, "password": PASSWORD})
    browser.post("/accounts/login/", {"login": supervisor.email, "password": "a-wrong-password-7"})
    browser.force_login(supervisor)
    browser.post("/accounts/reauthenticate/", {"password": PASSWORD})
    browser.get("/metrics", headers={"Authorization": "Bearer canary-of-the-metrics-token"})
    page = browser.post(f"/people/{admin.pk}/link/").content.decode()
    link = urlsplit(re.findall(r"https?://[^\s<\"]+/key/[^\s<\"]+", page)[0])
    one_time = link.path.rstrip("/").rpartition("-")[2]
    Client().get(link.path)
    browser.get("/items/", {"q": f"https://steamcommunity.com/tradeoffer/new/?partner=1&token={link_token}"})

    pages, shown = everything_shown(browser)
    case = item_of().pk
    for path in (f"/items/{case}/case/", f"/items/{case}/case.json"):
        pages += browser.get(path).content.decode()
    tables, lines = dump(), log.getvalue() + str(unheard.value)

    assert shown > 50
    assert all([supervisor.email in tables, supervisor.email in pages, "GET /items/" in lines])
    assert shown_in(tables + pages + lines) == []
    # Lists, not texts: a failure must not print, or compare sign by sign, a whole database.
    hidden = {
        "seed": seed,
        "wrong password": "a-wrong-password-7",
        **{f"code {n}": code for n, code in enumerate(codes)},
    }
    assert [name for name, text in hidden.items() if text in tables + pages + lines] == []
    assert [name for name, place in (("tables", tables), ("log", lines)) if one_time in place] == []
    assert [name for name, place in (("pages", pages), ("log", lines)) if link_token in place] == []


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
    """Nine in the settings of every test; with the three of a busy day, twelve, and a seed, codes, links and tokens."""
    assert len(canaries()) == 9
    assert len(set(canaries().values())) == 9


def test_f72_twelve_are_planted(planted: None) -> None:
    assert len(set(canaries().values())) == 12
