"""Many items at once: chosen, frozen, shown, started, watched, paused, stopped and taken back."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from tests.factories import CancellationFactory, ItemFactory, TradeFactory, UserFactory, ago
from tests.views.conftest import LogIn
from tests.views.reading import rows, text
from withdrawals.models import AuditEntry, Batch, BatchState, Cancellation, CancellationState, Item, Role, Status, User

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

REASON = {"reason": "Customer asked", "note": "forty chats"}
TICKED = re.compile(r'name="item" value="(\d+)" form="bulk" checked ')


@pytest.fixture
def mira() -> User:
    """An agent."""
    return UserFactory(email="mira@desk.example")


@pytest.fixture
def browser(log_in: LogIn, mira: User) -> Client:
    """Her browser."""
    return log_in(mira)


@pytest.fixture(autouse=True)
def time_to_undo(settings: Settings) -> None:
    """Longer than any test takes."""
    settings.UNDO_SECONDS = 60


def choose(browser: Client, *items: Item) -> Batch:
    """Tick these rows and look at the preview."""
    response = browser.post("/batches/", {"item": [item.pk for item in items]})
    assert response.status_code == 303
    batch = Batch.objects.latest("pk")
    assert response["Location"] == f"/batches/{batch.pk}/"
    return batch


def start(browser: Client, *items: Item) -> Batch:
    """The same, and started."""
    batch = choose(browser, *items)
    assert browser.post(f"/batches/{batch.pk}/start/", REASON).status_code == 303
    batch.refresh_from_db()
    return batch


def test_the_preview_counts_names_and_gives_each_reason(browser: Client) -> None:
    able = ItemFactory(market_hash_name="AWP | Asiimov (Battle-Scarred)")
    young = ItemFactory(trade=TradeFactory(opened_at=ago(minutes=5)))
    rust = ItemFactory(trade=TradeFactory(game="252490"), market_hash_name="Rusty Thing")
    asked = CancellationFactory(requested_by__email="olaf@desk.example").item
    batch = choose(browser, able, young, rust, asked)

    body = text(browser.get(f"/batches/{batch.pk}/"))

    assert "2 of 4 can be cancelled" in body
    assert "2 calls to AssetPay" in body
    assert "1 is still too young and will be armed" in body
    assert "AWP | Asiimov" in body
    assert "Rust items can never be cancelled" in body
    assert "olaf@desk.example" in body
    assert f'href="/trades/{rust.trade_id}/"' in body
    assert not Cancellation.objects.exclude(item=asked).exists()


def test_all_that_match_are_frozen_when_chosen(browser: Client) -> None:
    chosen = {ItemFactory().pk, ItemFactory().pk}
    ItemFactory(status=Status.COMPLETED)

    browser.post("/batches/", {"scope": "matching", "tab": "can", "q": "redline"})
    ItemFactory()

    batch = Batch.objects.get()
    assert set(batch.items.values_list("item_id", flat=True)) == chosen
    assert batch.selection == "“Can be cancelled”, named like “redline”"
    assert "2 of 2 can be cancelled" in text(browser.get(f"/batches/{batch.pk}/"))


def test_all_that_match_are_all_pages_of_them(browser: Client) -> None:
    ItemFactory.create_batch(60, trade=TradeFactory())

    page = text(browser.get("/items/"))
    browser.post("/batches/", {"scope": "matching", "tab": "can", "q": ""})

    assert 'Cancel all <span data-live-part="matching">60</span> that match' in page
    assert Batch.objects.get().items.count() == 60


def test_the_list_offers_ticks_to_whoever_may_and_to_nobody_else(browser: Client, log_in: LogIn) -> None:
    item = ItemFactory()

    assert f'name="item" value="{item.pk}" form="bulk"' in text(browser.get("/items/"))
    assert 'form="bulk"' not in text(log_in(Role.AUDITOR).get("/items/"))


def test_nothing_ticked_is_said_on_the_list(browser: Client) -> None:
    item = ItemFactory()

    response = browser.post("/batches/", {"tab": "can"})

    assert response.status_code == 422
    assert "Nothing is selected" in text(response)
    assert rows(response) == [f"item-{item.pk}"]
    assert not Batch.objects.exists()


@pytest.mark.parametrize("form", [{"item": ["x", "²"]}, {"item": "9" * 30}, {"scope": "matching", "tab": "nowhere"}])
def test_a_selection_that_is_none_is_refused(browser: Client, form: dict[str, str]) -> None:
    assert browser.post("/batches/", form).status_code == 422
    assert not Batch.objects.exists()


def test_more_than_a_batch_takes_is_refused_with_the_number(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("withdrawals.actions.batches.MAX_ITEMS", 3)
    items = ItemFactory.create_batch(4, trade=TradeFactory())

    response = browser.post("/batches/", {"item": [item.pk for item in items]})

    assert response.status_code == 422
    assert "a batch takes at most 3" in text(response)


def test_starting_asks_for_each_with_an_entry_of_its_own(browser: Client, mira: User) -> None:
    items = ItemFactory.create_batch(3)

    batch = start(browser, *items)

    asked = Cancellation.objects.filter(batch=batch)
    assert {one.item_id for one in asked} == {item.pk for item in items}
    assert {(one.state, one.requested_by, one.reason, one.note) for one in asked} == {
        (CancellationState.REQUESTED, mira, "Customer asked", "forty chats")
    }
    entries = AuditEntry.objects.filter(action="cancellation.requested")
    assert [entry.after["batch"] for entry in entries] == [batch.pk] * 3


def test_a_batch_starts_once_however_often_the_form_is_sent(browser: Client) -> None:
    batch = start(browser, ItemFactory())

    response = browser.post(f"/batches/{batch.pk}/start/", REASON)

    assert response.status_code == 409
    assert "already started" in text(response)
    assert Cancellation.objects.count() == 1


def test_a_batch_without_a_reason_does_not_start(browser: Client) -> None:
    batch = choose(browser, ItemFactory())

    response = browser.post(f"/batches/{batch.pk}/start/", {"reason": "Other", "note": ""})

    assert response.status_code == 422
    assert "needs a note" in text(response)
    assert not Cancellation.objects.exists()


def test_a_colleagues_selection_is_shown_and_not_started(browser: Client, log_in: LogIn) -> None:
    batch = choose(browser, ItemFactory())
    colleague = log_in(Role.SUPERVISOR)

    page = text(colleague.get(f"/batches/{batch.pk}/"))
    response = colleague.post(f"/batches/{batch.pk}/start/", REASON)

    assert "only they can start it" in page
    assert response.status_code == 409
    assert not Cancellation.objects.exists()


def test_a_started_batch_tells_what_became_of_each(browser: Client) -> None:
    items = ItemFactory.create_batch(3)
    batch = start(browser, *items)
    refused = Cancellation.objects.filter(item=items[1])
    refused.move(to=CancellationState.REFUSED, now=timezone.now(), answer_key="TRADE_NOT_CANCELLABLE")
    Cancellation.objects.filter(item=items[0]).move(to=CancellationState.CONFIRMED, now=timezone.now())

    body = text(browser.get(f"/batches/{batch.pk}/"))
    tally = dict(re.findall(r'data-tally="(\w+)">(\d+)<', body))
    assert tally == {
        "done": "1",
        "accepted": "0",
        "waiting": "1",
        "refused": "1",
        "unknown": "0",
        "overtaken": "0",
        "not_attempted": "0",
    }


def test_a_started_batch_keeps_itself_fresh_and_a_preview_stays_as_it_was_read(browser: Client) -> None:
    batch = choose(browser, ItemFactory())
    assert "data-live-line" not in text(browser.get(f"/batches/{batch.pk}/"))

    assert "data-live-line" not in text(browser.post(f"/batches/{batch.pk}/start/", {"reason": ""}))
    browser.post(f"/batches/{batch.pk}/start/", REASON)

    assert "data-live-line" in text(browser.get(f"/batches/{batch.pk}/"))


def test_a_batch_is_paused_and_goes_on(browser: Client) -> None:
    batch = start(browser, ItemFactory())

    assert browser.post(f"/batches/{batch.pk}/pause/").status_code == 303
    paused = text(browser.get(f"/batches/{batch.pk}/"))
    second = browser.post(f"/batches/{batch.pk}/pause/")
    browser.post(f"/batches/{batch.pk}/resume/")

    assert ">Resume</button>" in paused
    assert second.status_code == 409
    batch.refresh_from_db()
    assert batch.state == BatchState.RUNNING


def test_a_batch_is_taken_back_while_nothing_has_left(browser: Client) -> None:
    batch = start(browser, ItemFactory(), ItemFactory())

    assert ">Undo</button>" in text(browser.get(f"/batches/{batch.pk}/"))
    assert browser.post(f"/batches/{batch.pk}/undo/").status_code == 303

    assert set(Cancellation.objects.values_list("state", flat=True)) == {CancellationState.WITHDRAWN}
    assert "Select what could not be done (2)" in text(browser.get(f"/batches/{batch.pk}/"))


def test_after_its_time_a_batch_is_stopped_not_undone(browser: Client) -> None:
    batch = start(browser, ItemFactory())
    Batch.objects.filter(pk=batch.pk).update(send_from=timezone.now() - timedelta(seconds=1))

    assert ">Undo</button>" not in text(browser.get(f"/batches/{batch.pk}/"))
    response = browser.post(f"/batches/{batch.pk}/undo/")

    assert response.status_code == 409
    assert "Too late to undo" in text(response)
    assert Cancellation.objects.get().is_open


def test_what_could_not_be_done_is_ticked_again_and_nothing_else(browser: Client) -> None:
    refused, gone_well, never = ItemFactory.create_batch(3)
    rust = ItemFactory(trade=TradeFactory(game="252490"))
    ItemFactory()
    batch = start(browser, refused, gone_well, never, rust)
    Cancellation.objects.filter(item=refused).move(to=CancellationState.REFUSED, now=timezone.now())
    Cancellation.objects.filter(item=gone_well).move(to=CancellationState.ACCEPTED, now=timezone.now())
    browser.post(f"/batches/{batch.pk}/stop/")

    response = browser.get(f"/items/?batch={batch.pk}")

    wanted = {refused.pk, never.pk, rust.pk}
    assert {int(key) for key in TICKED.findall(text(response))} == wanted
    assert sorted(rows(response)) == sorted(f"item-{pk}" for pk in wanted)
    browser.post("/batches/", {"scope": "matching", "batch": batch.pk})
    assert set(Batch.objects.latest("pk").items.values_list("item_id", flat=True)) == wanted


def test_a_batch_that_does_not_exist_is_not_found(browser: Client) -> None:
    for act in ("start", "pause", "resume", "stop", "undo"):
        assert browser.post(f"/batches/7/{act}/", REASON).status_code == 404
    assert browser.get("/batches/7/").status_code == 404
    assert browser.get("/items/?batch=7").status_code == 400


@pytest.mark.parametrize("many", [1, 30])
def test_the_pages_cost_the_same_however_long(
    browser: Client, many: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    batch = choose(browser, *[ItemFactory() for _ in range(many)], ItemFactory(trade=TradeFactory(game="252490")))
    with django_assert_num_queries(QUERIES_OF_THE_PREVIEW):
        browser.get(f"/batches/{batch.pk}/")

    browser.post(f"/batches/{batch.pk}/start/", REASON)
    browser.get(f"/batches/{batch.pk}/")
    with django_assert_num_queries(QUERIES_OF_A_RUNNING_BATCH):
        browser.get(f"/batches/{batch.pk}/")


# Session with person and what they may, the batch, the frame's two; the rest is the page's own.
QUERIES_OF_THE_PREVIEW = 16
QUERIES_OF_A_RUNNING_BATCH = 11


def test_every_item_of_a_long_batch_can_be_read(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("withdrawals.views.batches.NAMES", 2)
    batch = start(browser, *[ItemFactory() for _ in range(5)])

    seen, address = [], f"/batches/{batch.pk}/"
    while address:
        page = text(browser.get(address))
        seen += re.findall(r'data-item-id="([^"]+)"', page)
        further = re.search(r'rel="next" href="([^"]+)"', page)
        address = f"/batches/{batch.pk}/{further.group(1)}" if further else ""

    assert seen == list(batch.items.order_by("position").values_list("item__assetpay_id", flat=True))
    assert "5 to 5 of 5" in page
    assert re.search(r'rel="prev" href="\?from=3"', page)


@pytest.mark.parametrize("asked", ["0", "-1", "x", "99999999999", "\u0662", ""])
def test_a_place_in_a_batch_that_is_none_shows_its_beginning(browser: Client, asked: str) -> None:
    batch = start(browser, ItemFactory())

    response = browser.get(f"/batches/{batch.pk}/", {"from": asked})

    assert (response.status_code, "data-item-id" in text(response)) == (200, True)
