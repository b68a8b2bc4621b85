"""F56, F59, F60, F68, F69, F71, F73 and F77: what a browser, or somebody who writes requests by hand, may try."""

import csv
import io
import json
import logging
from itertools import product

import pytest
import structlog
from django.conf import LazySettings, settings
from django.core.cache import cache
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from tests.factories import (
    PASSWORD,
    CancellationFactory,
    DeliveryFactory,
    ItemFactory,
    RefundFactory,
    TradeFactory,
    UserFactory,
)
from tests.faults.door import DOOR, everything
from tests.roles import NOBODY, address, rules
from withdrawals.actions.audit import Origin
from withdrawals.actions.notes import write_note
from withdrawals.models import AuditEntry, Role, Source, User

pytestmark = pytest.mark.django_db

RULES = rules()
CSP = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "object-src 'none'",
}


@pytest.fixture
def everybody() -> dict[str, Client]:
    """A browser for each role, one for root, and one of nobody; none of them raises what the server would answer."""
    found = {NOBODY: Client(raise_request_exception=False)}
    people = {role.value: UserFactory(role=role) for role in Role}
    people["root"] = User.objects.create_superuser("root@desk.example", "withdraw-skins-1")
    for name, person in people.items():
        found[name] = Client(raise_request_exception=False)
        found[name].force_login(person)
    return found


@pytest.mark.any_database
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_f56_no_address_changes_anything_by_being_read(everybody: dict[str, Client], method: str) -> None:
    """Reading documents, taking rows away and being turned away leave an entry, by design; nothing else is written."""
    paths = [address(route) for route in RULES]
    before = everything()

    for path in paths:
        for name in ("supervisor", "admin", "root", NOBODY):
            everybody[name].generic(method, path)

    after = everything()
    assert {table for table in before if before[table] != after[table]} <= {"AuditEntry", "AuditHead"}
    noted = {"access.denied", "document.read", "rows.exported", "case.exported"}
    assert set(AuditEntry.objects.values_list("action", flat=True)) <= noted


def test_f56_one_door_alone_takes_a_form_without_its_token() -> None:
    def exempt(resolver: URLResolver, before: str = "") -> list[str]:
        found = []
        for pattern in resolver.url_patterns:
            here = before + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                found += exempt(pattern, here)
            elif isinstance(pattern, URLPattern) and getattr(pattern.callback, "csrf_exempt", False):
                found.append(here)
        return found

    assert exempt(get_resolver()) == ["callbacks/assetpay/"]


@pytest.mark.any_database
def test_f56_a_form_from_another_site_changes_nothing() -> None:
    refund, item = RefundFactory(), ItemFactory()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(UserFactory(role=Role.SUPERVISOR))
    before = everything()

    for path in (f"/refunds/{refund.pk}/confirm/", f"/items/{item.pk}/cancel/", "/accounts/logout/"):
        answer = browser.post(
            path,
            {"reference": "x", "seen": refund.fingerprint(), "reason": "x"},
            headers={"Origin": "https://evil.example", "HX-Request": "true"},
        )
        assert answer.status_code == 403

    after = everything()
    assert before == after


def assert_protected(answer: HttpResponse, where: str) -> None:
    """The headers that every answer carries."""
    policy = {part.strip() for part in answer.get("Content-Security-Policy", "").split(";")}
    assert policy >= CSP, where
    assert not any(word in " ".join(policy) for word in ("unsafe-", "nonce-", "data:", "*")), where
    assert answer["X-Content-Type-Options"] == "nosniff", where
    assert answer["X-Frame-Options"] == "DENY", where
    assert answer["Referrer-Policy"] == "same-origin", where
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin", where


@pytest.mark.any_database
def test_f59_f68_f77_every_answer_carries_the_policy_and_no_page_is_kept(everybody: dict[str, Client]) -> None:
    for route in RULES:
        path = address(route)
        for name, method in product(("supervisor", "root", NOBODY), ("GET", "POST")):
            answer = everybody[name].generic(method, path)

            assert_protected(answer, f"{method} {path} by {name}: {answer.status_code}")
            if not path.startswith(("/callbacks/", "/health/", "/admin/jsi18n/")):
                assert answer.status_code == 302 or "no-store" in answer["Cache-Control"], path


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/nowhere/", {}, 404),
        ("/static/nothing.js", {}, 404),
        ("/items/", {"host": "evil.example"}, 400),
        (DOOR, {"host": "evil.example"}, 503),
        ("/callbacks/elsewhere/", {}, 503),
        ("/static/app.css", {}, 200),
        ("/health/live", {}, 200),
        ("/items/%00", {}, 404),
        ("/items/?cursor=%ff%fe", {}, 400),
    ],
)
def test_f59_f68_errors_and_files_carry_it_too(
    everybody: dict[str, Client], path: str, headers: dict[str, str], status: int
) -> None:
    answer = everybody["agent"].generic("POST" if path == DOOR else "GET", path, headers=headers)

    assert answer.status_code == status
    assert_protected(answer, path)


def test_f59_f68_a_fault_of_ours_carries_it_too(everybody: dict[str, Client], settings: LazySettings) -> None:
    settings.REFUND_APPROVAL_LIMIT = object()  # no amount: the page cannot be made

    answer = everybody["agent"].get("/refunds/rules/")

    assert answer.status_code == 500
    assert_protected(answer, "500")


ZERO = "%00"
UNREADABLE: list[tuple[str, dict[str, str]]] = [
    *((f"/{page}?q=a{ZERO}", {}) for page in ("items/", "audit/", "refunds/money/", "search/", "trades/export.csv")),
    (f"/admin/withdrawals/user/?email={ZERO}", {}),
    ("/items/", {"Cookie": 'session="aaaaaaaaaaaa\\000"; __Host-session="aaaaaaaaaaaa\\000"'}),
    *(("/items/", {"HX-Request": "true", "HX-Current-URL": page}) for page in ("http://[", "http://[x]/", "//[")),
    ("/items/", {"HX-Request": "true", "HX-Current-URL": "http://%5B", "HX-Current-URL-URI-AutoEncoded": "true"}),
]


@pytest.mark.parametrize(("path", "headers"), UNREADABLE)
def test_p30_a_request_that_cannot_be_read_is_no_fault(
    everybody: dict[str, Client], path: str, headers: dict[str, str]
) -> None:
    """Of somebody, of root, and of nobody; on PostgreSQL a zero byte in a text is refused by the driver."""
    for name in ("supervisor", "root", NOBODY):
        browser = everybody[name] if "Cookie" not in headers else Client(raise_request_exception=False)
        answer = browser.get(path, headers=headers)

        assert answer.status_code < 500, name


def test_p30_a_reference_that_no_text_can_be_is_no_fault(everybody: dict[str, Client]) -> None:
    refund = RefundFactory()

    answer = everybody["agent"].get(f"/refunds/{refund.pk}/reference/", {"reference": "a\x00b"})

    assert answer.status_code == 400


SQL = [
    *("' OR '1'='1", '"', "1; DROP TABLE withdrawals_item", "') UNION SELECT password FROM withdrawals_user--", "\\"),
    *(
        "%' --",
        "$$; SELECT pg_sleep(5); $$",
        "NULL",
        "1e309",
        "9" * 40,
        "requested_by__password",
        "__class__",
        "-password",
        "\x7f",
    ),
]
PARAMETERS = {
    "/items/": ["q", "tab", "cursor", "order_by"],
    "/trades/": ["q", "cursor", "state"],
    "/cancellations/": ["q", "state", "cursor"],
    "/refunds/": ["q", "state", "cursor"],
    "/deliveries/": ["q", "verdict", "cursor"],
    "/audit/": ["q", "action", "person", "source", "date_from", "date_to", "cursor"],
}


def test_f60_nothing_in_a_query_string_reaches_the_database_as_words_of_its_own(everybody: dict[str, Client]) -> None:
    """Over 300 requests: each is answered as a search that finds nothing or cannot be read, never as a fault."""
    ItemFactory()
    before, tried = everything(), 0

    for path, names in PARAMETERS.items():
        for name, text in product(names, SQL):
            answer = everybody["supervisor"].get(path, {name: text})
            tried += 1
            assert answer.status_code in (200, 400), (path, name, text, answer.status_code)
            assert PASSWORD not in answer.content.decode()

    assert tried > 300
    after = everything()
    assert before == after


HOSTS = ["evil.example", "//evil.example", "\\\\evil.example", "evil.example:80", "evil.example%2f", "evil。example"]
ELSEWHERE = [
    *(f"{scheme}{host}" for scheme in ("https://", "http://", "//", "///", "/\\", "\\/") for host in HOSTS),
    *(
        f"{scheme}evil.example"
        for scheme in ("ftp://", "HTTPS://", "https:", "https:/", "http:///", "/%09/", "/\t/", " //")
    ),
    *(
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "blob:x",
        "about:blank",
        "file:///x",
    ),
    *(
        "https://testserver@evil.example",
        "https://testserver.evil.example",
        "//testserver@evil.example",
        "////evil.example",
    ),
    *("https://evil.example/testserver", "https://evil.example?testserver", "https://evil.example#testserver"),
    *(
        "\x00//evil.example",
        "\n//evil.example",
        "\r\nLocation: //evil.example",
        "/\n/evil.example",
        "/\x00/evil.example",
    ),
    *(
        "//evil.example/%2e%2e",
        "//evil.example/..",
        "/\\/evil.example",
        "\\\\\\evil.example",
        "/.evil.example//evil.example",
    ),
    *("https:\\\\evil.example", "https:evil.example", "//[::1]", "//127.1", "//0x7f.1", "//2130706433"),
    *(
        "//%65vil.example",
        "//\u202eevil.example",
        "//evil\u3002example",
        "///\\evil.example",
        "http:evil.example",
        "//.",
    ),
]


@pytest.mark.any_database
def test_f69_no_form_and_no_header_leads_off_the_desk() -> None:
    cancellation, person = CancellationFactory(), UserFactory(role=Role.SUPERVISOR)
    inside, outside = Client(), Client()
    inside.force_login(person)

    for target in ELSEWHERE:
        cache.clear()  # or the answers would be that this is too much at once
        logged_in = Client().post(
            f"/accounts/login/?next={target}", {"login": person.email, "password": PASSWORD, "next": target}
        )
        for answer in (
            logged_in,
            inside.post(f"/cancellations/{cancellation.pk}/undo/", {"next": target}),
            inside.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": target}),
            outside.get(
                "/items/", headers={"HX-Request": "true", "HX-Current-URL": target.strip().replace("\x00", "") or "x"}
            ),
            inside.get("/accounts/login/", {"next": target}, headers={"Referer": "https://evil.example/"}),
        ):
            for name in ("Location", "HX-Redirect", "HX-Location", "HX-Push-Url"):
                place = answer.get(name, "")
                leads = place.startswith("/") and not place.startswith(("//", "/\\", "/\t", "/\n"))
                assert not place or leads, (target, name, place)

            assert answer.status_code < 429, (target, answer.status_code)

    assert len(ELSEWHERE) >= 80


NO_HOSTS = [
    "evil.example",
    "localhost.evil.example",
    "evil.example:80",
    "127.0.0.1.evil.example",
    "testserver@evil.example",
]
NO_HOSTS += [
    "[::1",
    "a b",
    "",
    "..",
    "localhost,evil.example",
    "evil.example/localhost",
    "lo\tcalhost",
    "*",
    ".localhost",
]
NO_HOSTS += ["127.0.0.2", "10.0.0.1", "localhost:99999x", "xn--evil", "evil.example#localhost", "\u2025"]


@pytest.mark.parametrize("host", NO_HOSTS)
def test_f71_a_host_that_is_not_ours_is_400_and_no_link_is_made_of_it(everybody: dict[str, Client], host: str) -> None:
    for headers in ({"host": host}, {"X-Forwarded-Host": host}):
        answer = everybody["admin"].get("/people/", headers=headers)

        assert answer.status_code == (400 if "host" in headers else 200)
        assert "evil.example" not in answer.content.decode()

    link = everybody["admin"].post(f"/people/{UserFactory().pk}/link/", headers={"X-Forwarded-Host": host})
    assert settings.DESK_ORIGIN in link.content.decode()


def test_f73_what_a_stranger_writes_is_one_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    render = structlog.stdlib.ProcessorFormatter(processor=structlog.processors.JSONRenderer())
    texts = [
        f"x{sign}FAKE 2026-01-01 [info] refund confirmed"
        for sign in ("\n", "\r", "\r\n", "\x1b[2K", "\u2028", "\x85", "\x00")
    ]

    for text in texts:
        record = logging.LogRecord("withdrawals", logging.INFO, "x", 1, text, None, None)
        line = render.format(record)

        assert len(line.splitlines()) == 1
        assert json.loads(line)["event"] == text


FORMULAS = [
    *("=1+1", "+1+1", "-1+1", "@SUM(1,1)", "=cmd|' /C calc'!A0", '=HYPERLINK("//evil.example")', "-2+3+cmd|'x'!A0"),
    *("\t=1", "\r=1", "\n=1", "\r\n=1", " =1", "  +1", "\xa0=1", "\u3000=1", "\u200b=1", "\ufeff=1", " \t=1"),
    *("\uff1d1", "\uff0b1", "\uff0d1", "\uff201", '="x"', "=1,2", "=1;2", "=1\n=2", "\x00=1", "=\x00 1"),
    *('",=1', "=IMPORTXML(1)", "=DDE(1)", "@"),
]


def test_f73_no_text_of_anybody_is_a_formula_in_any_export(everybody: dict[str, Client]) -> None:
    """Each payload in the fields of texts, through each CSV that leaves the desk, read back as a spreadsheet would."""
    for text in FORMULAS:
        clean = text.replace("\x00", "")
        refund = RefundFactory(state="confirmed", reference=clean, item__market_hash_name=clean, item__error=clean)
        CancellationFactory(note=clean, reason=clean, item=refund.item)
        TradeFactory(external_client_user_id=clean, external_id=clean, error=clean)
        DeliveryFactory(problem=clean, subject_id=clean)
        write_note(
            trade_id=refund.item.trade_id,
            item_id=None,
            # PostgreSQL keeps no NUL, and the form refuses it; SQLite would.
            text=text if connection.vendor == "sqlite" else clean,
            actor=UserFactory(),
            origin=Origin(Source.SCREEN, name=clean),
            now=timezone.now(),
        )
    browser = everybody["supervisor"]
    answers = [
        browser.get(path)
        for path in (
            "/items/export.csv?tab=all",
            "/trades/export.csv",
            "/cancellations/export.csv",
            "/deliveries/export.csv",
            "/refunds/export.csv?state=confirmed",
        )
    ]
    answers.append(browser.post("/audit/export/", {"form": "csv"}))

    files = [b"".join(answer.streaming_content).decode().removeprefix("\ufeff") for answer in answers]
    tables = [list(csv.reader(io.StringIO(file, newline=""))) for file in files]

    cells = [cell for table in tables for row in table for cell in row]
    beginnings = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
    assert [cell for cell in cells if cell.lstrip(" \xa0\u3000\u200b\ufeff\x00").startswith(beginnings)] == []
    assert all(len({len(row) for row in table}) == 1 for table in tables)
    assert [len(table) > len(FORMULAS) for table in tables] == [True] * 6
    marked = [cell for cell in cells if cell.startswith("'")]
    assert len(marked) > 5 * 30
    assert len(FORMULAS) >= 30


@pytest.mark.any_database
def test_f77_nothing_of_the_desk_is_shown_after_log_out() -> None:
    DeliveryFactory()
    browser = Client()
    browser.force_login(UserFactory())
    assert browser.get("/items/").status_code == 200

    browser.post("/accounts/logout/")

    assert browser.get("/items/").status_code == 302
    page = browser.get("/accounts/login/").content.decode()
    assert '"historyCacheSize":0' in page
