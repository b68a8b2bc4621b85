"""One box for whatever was pasted."""

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from tests.factories import DeliveryFactory, ItemFactory, TradeFactory
from tests.views.conftest import LogIn
from tests.views.reading import rows, text
from withdrawals.models import Item, Role, Trade

pytestmark = pytest.mark.django_db

REDLINE = "66f0a1b2c3d4e5f6a7b81111"
ASIIMOV = "66f0a1b2c3d4e5f6a7b82222"
FADE = "66f1a1b2c3d4e5f6a7b8fade"
STEAM = "76561198000000001"  # account 39734273
OTHER_STEAM = "76561198000000002"


@dataclass(frozen=True)
class Shelf:
    """Three items in two trades of one customer, and one of another."""

    redline: Item
    asiimov: Item
    fade: Item
    karambit: Item


@pytest.fixture
def shelf() -> Shelf:
    """What the pastes below are about."""
    ours = TradeFactory(
        assetpay_id="66f0c0dec3d4e5f6a7b80001",
        client_steam_id=STEAM,
        client_user_id="6512aa00bb11cc22dd33ee44",
        external_id="order-77812",
        external_client_user_id="player 9/ü",
        offer_id="6800000001",
    )
    second = TradeFactory(
        assetpay_id="66f0c0dec3d4e5f6a7b80002", client_steam_id=STEAM, external_id="shop:1042", offer_id="6800000002"
    )
    other = TradeFactory(
        assetpay_id="66f9c0dec3d4e5f6a7b80003",
        client_steam_id=OTHER_STEAM,
        external_id="7f3c9a52-1d0e-4b67-9a55-0c1d2e3f4a5b",
    )
    return Shelf(
        ItemFactory(trade=ours, assetpay_id=REDLINE, external_id="line-9", asset_id="31337000001"),
        ItemFactory(trade=second, assetpay_id=ASIIMOV, market_hash_name="AWP | Asiimov (Battle-Scarred)"),
        ItemFactory(trade=second, assetpay_id=FADE, market_hash_name="StatTrak™ M4A1-S | Golden Coil (Minimal Wear)"),
        ItemFactory(
            trade=other, assetpay_id="66f9a1b2c3d4e5f6a7b84444", market_hash_name="★ Karambit | Fade (Factory New)"
        ),
    )


def found(browser: Client, pasted: str) -> set[str]:
    """The AssetPay ids of the items to which the box leads: on the page of one trade, or in the list of several."""
    answer = browser.post("/search/", {"q": pasted})
    if answer.status_code == 200:
        return set()
    assert answer.status_code == 303
    place = urlsplit(answer["Location"])
    if place.path.startswith("/trades/"):
        items = Item.objects.filter(trade=int(place.path.split("/")[2]))
        if place.fragment:
            items = items.filter(pk=int(place.fragment.removeprefix("item-")))
        assert browser.get(place.path).status_code == 200
        return set(items.values_list("assetpay_id", flat=True))
    listed = rows(browser.get(answer["Location"]))
    return set(
        Item.objects.filter(pk__in=[row.removeprefix("item-") for row in listed]).values_list("assetpay_id", flat=True)
    )


R, A, F, K = {REDLINE}, {ASIIMOV}, {FADE}, {"66f9a1b2c3d4e5f6a7b84444"}
PASTES: list[tuple[str, set[str]]] = [
    # Whole ids, as they come out of a chat, a mail, a spreadsheet or a log
    (REDLINE, R),
    (REDLINE.upper(), R),
    (f"  {REDLINE}\n", R),
    (f'"{REDLINE}"', R),
    (f"“{REDLINE}”", R),
    (f"«{REDLINE}»", R),
    (f"({REDLINE})", R),
    (f"[{REDLINE}]", R),
    (f"<{REDLINE}>", R),
    (f"`{REDLINE}`", R),
    (f"**{REDLINE}**", R),
    (f"||{REDLINE}||", R),
    (f"{REDLINE}.", R),
    (f"#{REDLINE}", R),
    (f"id: {REDLINE}", R),
    (f"itemId={REDLINE}&x=1", R),
    (f'{{"id":"{REDLINE}","status":"pending"}}', R),
    (f"\u200b{REDLINE}\u200b", R),
    (f"\u2066{REDLINE}\u2069", R),
    ("66f0c0dec3d4e5f6a7b80001", R),
    ("66f0c0dec3d4e5f6a7b80002", A | F),
    ("order-77812", R),
    ("Order #order-77812 where is it??", R),
    ("shop:1042", A | F),
    ("line-9", R),
    ("31337000001", R),
    ("6800000001", R),
    ("player 9/ü", R),
    ("6512aa00bb11cc22dd33ee44", R),
    ("7f3c9a52-1d0e-4b67-9a55-0c1d2e3f4a5b", K),
    ("urn:uuid:7f3c9a52-1d0e-4b67-9a55-0c1d2e3f4a5b", K),
    # Steam
    (STEAM, R | A | F),
    (OTHER_STEAM, K),
    (f"https://steamcommunity.com/profiles/{OTHER_STEAM}", K),
    (f"steamcommunity.com/profiles/{OTHER_STEAM}/inventory/#730", K),
    (f"<https://steamcommunity.com/profiles/{OTHER_STEAM}/>", K),
    ("https://steamcommunity.com/tradeoffer/new/?partner=39734274&token=AbCdEfGh", K),
    ("my link: https://steamcommunity.com/tradeoffer/new/?token=AbC1EfGh&partner=39734274 thx", K),
    ("https%3A%2F%2Fsteamcommunity.com%2Ftradeoffer%2Fnew%2F%3Fpartner%3D39734274%26token%3DAbCdEfGh", K),
    ("https://steamcommunity.com/tradeoffer/6800000001/", R),
    ("[U:1:39734274]", K),
    ("STEAM_0:0:19867137", K),
    # Several at once
    (f"{REDLINE} {ASIIMOV}", R | A),
    (f"{REDLINE},{ASIIMOV};{FADE}", R | A | F),
    (f"Hi! I have 2 problems:\n1) {REDLINE}\n2) order order-77812\nand also {ASIIMOV}, please help!!", R | A),
    (f"[12:04] mira: is {REDLINE} the same as 66f9c0dec3d4e5f6a7b80003?", R | K),
    # Ends of ids
    ("1111", R),
    ("…1111", R),
    ("...b81111", R),
    ("trade …0003", K),
    ("item ending in …2222 please", A),
    ("66f0a1b2…1111", R),
    ("66f9c0de…", K),
    ("66f9c0de", K),
    ("…FADE", F),
    # Names; a plain word is a name before it is the tail of an id
    ("fade", K),
    ("redline", R),
    ("AK-47 | Redline (Field-Tested)", R),
    ("ak redline", R),
    ("golden stattrak", F),
    ("★ karambit", K),
    ("M4A1-S | Golden Coil", F),
    ("asiimov", A),
    # What leads nowhere
    ("nothing-like-it", set()),
    ("66ffffffffffffffffffffff", set()),
    ("https://steamcommunity.com/id/gaben", set()),
    ("' OR 1=1 --", set()),
    ('" OR name MATCH "', set()),
    ("%", set()),
    ("*", set()),
    ("", set()),
]


@pytest.mark.parametrize(("pasted", "expected"), PASTES, ids=[paste[:40] or "empty" for paste, _ in PASTES])
def test_whatever_is_pasted_leads_to_what_it_names(
    agent: Client, shelf: Shelf, pasted: str, expected: set[str]
) -> None:
    assert found(agent, pasted) == expected


@pytest.mark.parametrize(("pasted", "expected"), [paste for paste in PASTES if paste[1]])
def test_the_items_list_finds_the_same(agent: Client, shelf: Shelf, pasted: str, expected: set[str]) -> None:
    items, _ = Item.objects.search(pasted)

    assert set(items.values_list("assetpay_id", flat=True)) == expected


def test_one_hit_goes_to_its_row(agent: Client, shelf: Shelf) -> None:
    answer = agent.post("/search/", {"q": REDLINE})

    assert answer["Location"] == f"/trades/{shelf.redline.trade_id}/#item-{shelf.redline.pk}"


def test_a_shared_link_to_a_search_works_too(agent: Client, shelf: Shelf) -> None:
    assert agent.get("/search/", {"q": "asiimov"})["Location"].startswith(f"/trades/{shelf.asiimov.trade_id}/")


def test_the_address_of_a_page_of_this_desk_leads_there(agent: Client, shelf: Shelf) -> None:
    page = f"/trades/{shelf.redline.trade_id}/"

    for pasted in (page, f"http://testserver{page}", f"{page}?x=1", f"http://testserver{page}#items"):
        assert agent.post("/search/", {"q": pasted})["Location"] == page


@pytest.mark.parametrize(
    "pasted", ["http://evil.example/trades/1/", "//evil.example/trades/1/", "javascript:/trades/1/"]
)
def test_somebody_elses_address_leads_nowhere(agent: Client, pasted: str) -> None:
    assert agent.post("/search/", {"q": pasted}).status_code == 200


def test_a_trade_without_items_and_a_callback_are_found_too(agent: Client) -> None:
    trade, delivery = TradeFactory(), DeliveryFactory()

    assert agent.post("/search/", {"q": trade.assetpay_id})["Location"] == f"/trades/{trade.pk}/"
    assert agent.post("/search/", {"q": delivery.delivery_id})["Location"] == f"/deliveries/{delivery.pk}/"


def test_nothing_found_says_what_was_tried(agent: Client) -> None:
    body = text(agent.post("/search/", {"q": "…dead1 or <b>Howl</b>"}))

    assert "Nothing was found" in body
    assert "…dead1" in body
    assert "&lt;b&gt;Howl" in body
    assert "<b>Howl" not in body


def test_a_steam_name_is_explained(agent: Client) -> None:
    assert "only Steam can turn into a number" in text(
        agent.post("/search/", {"q": "https://steamcommunity.com/id/gaben"})
    )


@pytest.mark.parametrize(
    "pasted",
    [
        "https://steamcommunity.com/tradeoffer/new/?partner=5&token=CaNaRy-7",
        "partner=5&token=CaNaRy-7",
        "https%3A%2F%2Fsteamcommunity.com%2Ftradeoffer%2Fnew%2F%3Fpartner%3D39734274%26token%3DCaNaRy-7",
    ],
)
def test_the_token_of_a_trade_link_goes_no_further(agent: Client, shelf: Shelf, pasted: str) -> None:
    answer = agent.post("/search/", {"q": pasted})

    assert "CaNaRy" not in text(answer)
    assert "CaNaRy" not in answer.headers.get("Location", "")


def test_an_id_that_is_not_known_is_named_beside_those_that_are(agent: Client, shelf: Shelf) -> None:
    gone = "66ffffffffffffffffffffff"

    answer = agent.post("/search/", {"q": f"{REDLINE} {ASIIMOV} {gone}"}, follow=True)

    assert f"Not known to this desk: {gone}" in text(answer)
    assert len(rows(answer)) == 2


def test_several_hits_keep_only_what_names_them_in_the_address(agent: Client, shelf: Shelf) -> None:
    answer = agent.post("/search/", {"q": f"hello, {REDLINE} and {ASIIMOV} are missing"})

    assert parse_qs(urlsplit(answer["Location"]).query) == {"tab": ["all"], "q": [f"{REDLINE} {ASIIMOV}"]}


def test_more_than_a_message_is_said_to_be_too_much(agent: Client) -> None:
    answer = agent.post("/search/", {"q": "x" * 2_001})

    assert answer.status_code == 400
    assert 'role="alert"' in text(answer)


def test_every_page_has_the_box(log_in: LogIn) -> None:
    for path in ("/", "/items/", "/trades/", "/audit/", "/nowhere/", "/accounts/password/change/"):
        assert 'action="/search/"' in text(log_in(Role.SUPERVISOR).get(path)), path


@pytest.mark.parametrize(
    "pasted", ["x" * 2_000, "1" * 2_000, "… " * 900, "[U:1:9999999999] " * 100, "a-1 " * 500, "\ud800"]
)
def test_no_paste_is_too_odd(agent: Client, pasted: str) -> None:
    answer = agent.generic(
        "POST", "/search/", b"q=" + pasted.encode(errors="surrogatepass"), "application/x-www-form-urlencoded"
    )

    assert answer.status_code in (200, 303, 400)


def test_the_search_asks_little(agent: Client, shelf: Shelf, django_assert_max_num_queries) -> None:  # type: ignore[no-untyped-def] # pytest-django's own fixture
    with django_assert_max_num_queries(9):
        agent.post("/search/", {"q": f"{REDLINE} {ASIIMOV} 66ffffffffffffffffffffff"})


def test_trades_are_found_by_the_same_pastes(agent: Client, shelf: Shelf) -> None:
    for pasted in ("…0003", f"https://steamcommunity.com/profiles/{OTHER_STEAM}", "karambit", "66f9c0de…"):
        listed = rows(agent.get("/trades/", {"q": pasted}))
        assert listed == [f"trade-{Trade.objects.get(client_steam_id=OTHER_STEAM).pk}"], pasted
