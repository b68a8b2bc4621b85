"""What the demonstration opens with: customers, and their withdrawals in every state."""

from dataclasses import dataclass, field
from typing import Any

from sandbox.chance import chance
from sandbox.control_inputs import NewTrade
from sandbox.market import CS2_SKINS, RUST_SKINS
from sandbox.model import CS2, RUST, STEAM_ID_BASE, Script

MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR

CUSTOMERS: tuple[tuple[str, str], ...] = tuple(
    (str(STEAM_ID_BASE + account), f"player-{account % 90_000 + 10_000}")
    for account in (
        73_936_547,
        128_450_913,
        39_204_771,
        861_023_358,
        204_918_266,
        417_665_029,
        92_310_484,
        1_106_742_015,
        350_087_642,
        58_271_933,
        773_514_208,
        166_902_357,
    )
)
MERCHANT_STEAM_ID = str(STEAM_ID_BASE + 22_202)

COSTLY = 200


@dataclass(frozen=True)
class Opening:
    """A group of withdrawals that start alike. Ages are in seconds before the demonstration begins."""

    status: str
    count: int
    ages: tuple[float, float]
    items: tuple[int, ...] = (1,)
    supplier: Script = Script.ACCEPT
    more: dict[str, Any] = field(default_factory=dict)


def opening_scene(window_seconds: float) -> list[NewTrade]:
    """Some forty withdrawals in every state there is; items may be cancelled from `window_seconds` on."""
    return [_spec(group, number) for group in _groups(window_seconds) for number in range(group.count)]


def pick_skins(game: str, count: int) -> list[tuple[str, str]]:
    """Names with prices, mostly cheap ones."""
    skins = list((CS2_SKINS if game == CS2 else RUST_SKINS).items())
    cheap = [each for each in skins if float(each[1]) < COSTLY]
    costly = [each for each in skins if float(each[1]) >= COSTLY] or cheap
    return [chance.choice(costly if chance.random() < 0.06 else cheap) for _ in range(count)]


def _groups(window: float) -> list[Opening]:
    ripe = (window + 2 * MINUTE, window + 40 * MINUTE)
    soon = (max(0.0, window - 90), max(0.0, window - 20))
    return [
        Opening("pending", 8, ripe, (1, 1, 2, 1, 3)),
        Opening("pending", 1, ripe, (2,), Script.DELIVERS_ANYWAY),
        Opening("pending", 1, ripe, (1,), Script.REFUSE),
        Opening("pending", 1, ripe, (1,), Script.LATE),
        Opening("pending", 1, ripe, (1,), Script.ACCEPT_CANCELED),
        Opening("pending", 1, ripe, (1,), more={"items": [{"internal_pool": True}]}),
        Opening("pending", 1, ripe, (1,), more={"auto_cancel_seconds": 4 * MINUTE}),
        Opening("pending", 1, ripe, (1,), more={"source": "self", "steam_id": MERCHANT_STEAM_ID}),
        Opening("pending", 6, soon, (1, 2, 1)),
        Opening("active", 3, ripe, (1, 2)),
        Opening("hold", 3, (2 * HOUR, 4 * DAY)),
        Opening("completed", 6, (7 * DAY, 12 * DAY), (1, 1, 2)),
        Opening("declined", 2, (HOUR, DAY)),
        Opening("failed", 2, (HOUR, DAY), more={"error": "LISTING_UNAVAILABLE"}),
        Opening("canceled", 1, (HOUR, DAY)),
        Opening("reverted", 3, (HOUR, DAY), (1, 2), more={"reverted_by": "supplier"}),
        Opening("reverted", 1, (5 * DAY, 6 * DAY), more={"reverted_by": "user"}),
        Opening("pending", 2, ripe, (1, 2), more={"game": RUST}),
        Opening("completed", 1, (8 * DAY, 9 * DAY), more={"game": RUST}),
        # One withdrawal whose items have come to different ends.
        Opening("hold", 1, ripe, (3,), more={"items": [{"status": "hold"}, {"status": "reverted"}, {}]}),
    ]


def _spec(group: Opening, number: int) -> NewTrade:
    steam_id, client = chance.choice(CUSTOMERS)
    skins = pick_skins(group.more.get("game", CS2), group.items[number % len(group.items)])
    items: list[dict[str, Any]] = [{"name": name, "price": price} for name, price in skins]
    if group.status == "failed":
        items = [{**item, "error": group.more["error"]} for item in items]
    more = dict(group.more)
    for item, extra in zip(items, more.pop("items", []), strict=False):
        item.update(extra)
    return NewTrade.model_validate(
        {
            "status": group.status,
            "steam_id": steam_id,
            "external_client_user_id": None if group.more.get("source") == "self" else client,
            "age_seconds": chance.uniform(*group.ages),
            "supplier": group.supplier,
            "supplier_delay_seconds": 60 if group.supplier is Script.LATE else chance.uniform(5, 10),
            "items": items,
            **more,
        }
    )
