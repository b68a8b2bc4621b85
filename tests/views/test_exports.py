"""Lists as CSV, case files and the customer's text: exactly what is shown, and nothing that must not leave."""

import csv
import io
import json
import subprocess
import sys
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.http import HttpResponse
from django.test import Client

from tests.desk import deliver, item_of, news
from tests.factories import (
    CancellationFactory,
    DeliveryFactory,
    ItemFactory,
    RefundFactory,
    TradeFactory,
    UserFactory,
    ago,
)
from tests.faults.door import runs, tell
from tests.views.conftest import LogIn
from tests.views.reading import rows, text
from tests.wire import item_document
from withdrawals.models import AuditEntry, Batch, Item, RefundState, Role, SavedView, Status, Trade
from withdrawals.views.exports import cell

pytestmark = pytest.mark.django_db

VERIFIER = Path(__file__).resolve().parents[2] / "scripts" / "verify_case.py"


def lines(response: HttpResponse) -> list[dict[str, str]]:
    """The rows of the file."""
    body = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
    return list(csv.DictReader(io.StringIO(body, newline="")))


@pytest.fixture
def auditor(log_in: LogIn) -> Client:
    return log_in(Role.AUDITOR)


@pytest.mark.parametrize("query", ["", "?state=in_review", "?state=confirmed", "?q=Redline", "?q=nothing-like-it"])
def test_refunds_are_exported_exactly_as_filtered(auditor: Client, query: str) -> None:
    for state in (RefundState.DUE, RefundState.DUE, RefundState.IN_REVIEW, RefundState.CONFIRMED):
        RefundFactory(state=state)

    shown = auditor.get(f"/refunds/{query}").context["rows"]
    exported = lines(auditor.get(f"/refunds/export.csv{query}"))

    assert [row["item"] for row in exported] == [row.refund.item.assetpay_id for row in shown]


@pytest.mark.parametrize("query", ["", "?tab=done", "?tab=all", "?tab=soon", "?tab=all&q=Redline", "?tab=open"])
def test_items_are_exported_exactly_as_the_tab_shows_them(auditor: Client, query: str) -> None:
    ItemFactory(), ItemFactory(status=Status.COMPLETED), ItemFactory(trade__opened_at=ago(minutes=5))
    CancellationFactory()

    shown = rows(auditor.get(f"/items/{query}"))
    exported = lines(auditor.get(f"/items/export.csv{query}"))

    by_row = {f"item-{item.pk}": item.assetpay_id for item in Item.objects.all()}
    assert [row["item"] for row in exported] == [by_row[row] for row in shown]


def test_what_a_batch_could_not_do_is_exported_as_it_is_shown(auditor: Client) -> None:
    left, other = ItemFactory(), ItemFactory()
    batch = Batch.objects.create(
        requested_by=UserFactory(),
        created_at=ago(minutes=9),
        started_at=ago(minutes=8),
        selection="by hand",
        state="stopped",
    )
    CancellationFactory(item=left, batch=batch, state="refused", ended_at=ago(minutes=7))
    batch.items.create(item=left, position=1)

    shown = rows(auditor.get(f"/items/?batch={batch.pk}"))
    exported = [row["item"] for row in lines(auditor.get(f"/items/export.csv?batch={batch.pk}"))]

    assert shown == [f"item-{left.pk}"]
    assert exported == [left.assetpay_id] != [other.assetpay_id]
    assert auditor.get("/items/export.csv?batch=987654").status_code == 400


def test_an_id_exports_its_row_wherever_it_stands(auditor: Client) -> None:
    ItemFactory()
    ended = ItemFactory(status=Status.COMPLETED)

    assert [row["item"] for row in lines(auditor.get("/items/export.csv", {"q": ended.assetpay_id}))] == [
        ended.assetpay_id
    ]


def test_the_other_lists_are_exported_too(auditor: Client) -> None:
    cancellation, delivery, trade = CancellationFactory(), DeliveryFactory(), TradeFactory()

    assert lines(auditor.get("/cancellations/export.csv"))[0]["item"] == cancellation.item.assetpay_id
    assert lines(auditor.get("/deliveries/export.csv"))[0]["delivery"] == delivery.delivery_id
    assert trade.assetpay_id in {row["trade"] for row in lines(auditor.get("/trades/export.csv"))}


def test_an_export_is_in_the_log_before_its_first_byte(auditor: Client) -> None:
    RefundFactory()

    auditor.get("/refunds/export.csv?state=due&q=Redline")  # nothing of it is read

    entry = AuditEntry.objects.get(action="rows.exported")
    assert entry.after == {"list": "refunds", "form": "csv", "filters": "state=due&q=Redline"}
    assert entry.actor is not None


def test_the_log_keeps_every_filter_of_an_export_whole_and_shows_it(auditor: Client) -> None:
    long = "&".join(f"q=a-long-name-of-an-item-{number:04d}" for number in range(60))

    auditor.get(f"/trades/export.csv?{long}&q=the-last-one")

    entry = AuditEntry.objects.get(action="rows.exported")
    assert entry.after["filters"] == f"{long}&q=the-last-one"
    assert "q=the-last-one" in text(auditor.get("/audit/"))


def test_f72_a_pasted_trade_link_leaves_no_token_in_the_log(auditor: Client) -> None:
    """Pasted into a list's search, the rows exported, and the search kept as a view: the log stays for ever."""
    link = "https://steamcommunity.com/tradeoffer/new/?partner=1&token=canary-Q7"

    auditor.get("/items/export.csv", {"tab": "all", "q": link})
    auditor.post("/audit/export/", {"form": "csv", "query": urlencode({"q": link})})
    auditor.post("/views/", {"saved_list": "item_list", "name": "One customer", "query": urlencode({"q": link})})

    told = [str(entry.after) for entry in AuditEntry.objects.all()]
    assert len(told) == 3
    assert all("partner" in text for text in told)
    assert "canary" not in "".join(told)
    assert "canary" not in SavedView.objects.get().query


@pytest.mark.parametrize(
    "address", ["/refunds/export.csv?state=paid", "/items/export.csv?tab=no", "/deliveries/export.csv?verdict=x"]
)
def test_a_filter_that_cannot_be_read_exports_nothing(auditor: Client, address: str) -> None:
    assert auditor.get(address).status_code == 400
    assert not AuditEntry.objects.filter(action="rows.exported").exists()


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t=", " =", "\r=", "\uff1d", "\xa0="])
def test_no_text_is_a_formula(sign: str) -> None:
    assert cell(f"{sign}HYPERLINK(1)").startswith("'")


def test_money_is_exact_times_have_their_zone_and_formulas_are_text(auditor: Client) -> None:
    RefundFactory(item__price=Decimal("0.1"), item__market_hash_name="=cmd|' /C calc'!A0", opened_at=ago(hours=1))

    row = lines(auditor.get("/refunds/export.csv"))[0]

    assert (row["amount_usd"], row["name"]) == ("0.1000", "'=cmd|' /C calc'!A0")
    assert row["opened_at"].endswith("+00:00")


@pytest.mark.parametrize("many", runs(6_000, 100_000))
def test_a_long_export_takes_no_more_memory_than_a_short_one(auditor: Client, many: int) -> None:
    def peak(rows: int) -> int:
        response = auditor.get("/trades/export.csv")
        tracemalloc.start()
        assert sum(chunk.count(b"\n") for chunk in response.streaming_content) == rows + 1
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    def make(first: int, after: int) -> None:
        moment = ago(hours=1)
        like = {"type": "withdraw", "status": "pending", "reported_status": "pending", "document": "{}"}
        like |= {"opened_at": moment, "first_seen_at": moment, "last_seen_at": moment}
        Trade.objects.bulk_create([Trade(assetpay_id=f"trade-{n}", **like) for n in range(first, after)])

    make(0, 600)
    short = peak(600)
    for first in range(600, many, 5_400):
        make(first, min(first + 5_400, many))
    long = peak(many)
    tell(f"at most {short / 1e6:.1f} MB for 600 rows, {long / 1e6:.1f} MB for {many:,}")

    # Ten times the rows and more; a list of them would take ten times the memory.
    assert long < 1.5 * short + 500_000


# --- Case files --------------------------------------------------------------------------------------------


@pytest.fixture
def story() -> int:
    """An item that came back undone, told by a verified callback; its key."""
    deliver(news(status="reverted", items=[item_document(status="reverted")]))
    return item_of().pk


def verified(path: Path) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-I", str(VERIFIER), str(path)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_a_case_file_verifies_away_from_the_desk(auditor: Client, story: int, tmp_path: Path) -> None:
    path = tmp_path / "case.json"
    path.write_bytes(auditor.get(f"/items/{story}/case.json").content)

    assert verified(path) == (0, "Verified: 1 documents, 3 audit entries.\n")
    assert AuditEntry.objects.latest("number").after == {"sha256": json.loads(path.read_text())["sha256"]}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda case: case["documents"][0].update(text="{}"), "was edited"),
        (lambda case: case["audit"][1].update(action="item.invented"), "Audit entry 2 was edited"),
        (lambda case: case["refund"].update(evidence_sha256="0" * 64), "evidence"),
        (lambda case: case["item"].update(status="completed"), "its own hash"),
    ],
)
def test_a_damaged_case_file_is_found(auditor: Client, story: int, tmp_path: Path, damage: Any, said: str) -> None:
    case = json.loads(auditor.get(f"/items/{story}/case.json").content)
    damage(case)
    path = tmp_path / "case.json"
    path.write_text(json.dumps(case))

    code, lines_said = verified(path)

    assert code == 1
    assert said in lines_said


def test_the_page_of_a_case_tells_the_story_and_no_token(auditor: Client, story: int) -> None:
    page = text(auditor.get(f"/items/{story}/case/"))
    file = text(auditor.get(f"/items/{story}/case.json"))

    assert "Refund opened" in page
    assert "SHA-256 as received" in page
    assert "AbCdEfGh" not in page + file


def test_the_customers_text_names_nobody_inside(agent: Client, auditor: Client) -> None:
    refund = RefundFactory(state=RefundState.CONFIRMED)
    assert refund.confirmed_by is not None

    shown = text(agent.get(f"/items/{refund.item_id}/customer-text/")).partition('id="customer-text"')[2]
    said = shown.partition("</pre>")[0]

    assert "$12.34" in said
    assert refund.item.trade.external_id in said
    for hidden in (refund.confirmed_by.email, refund.reference, "AssetPay", "AbCdEfGh", refund.item.assetpay_id):
        assert hidden not in said
