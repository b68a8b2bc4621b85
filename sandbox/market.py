"""A small market of CS2 and Rust skins: what the demo buys and what a withdrawal may ask for."""

import uuid
from dataclasses import dataclass
from decimal import Decimal

from sandbox.chance import chance
from sandbox.model import CS2, RUST, listing_id

CS2_SKINS: dict[str, str] = {
    "AK-47 | Redline (Field-Tested)": "28.40",
    "AK-47 | Slate (Minimal Wear)": "9.85",
    "AK-47 | Asiimov (Field-Tested)": "42.10",
    "AK-47 | Bloodsport (Minimal Wear)": "88.75",
    "AWP | Asiimov (Field-Tested)": "141.30",
    "AWP | Neo-Noir (Field-Tested)": "31.60",
    "AWP | Atheris (Minimal Wear)": "8.95",
    "AWP | Hyper Beast (Well-Worn)": "34.25",
    "M4A1-S | Decimator (Field-Tested)": "12.70",
    "M4A1-S | Printstream (Field-Tested)": "187.90",
    "M4A1-S | Nightmare (Minimal Wear)": "17.35",
    "M4A4 | Desolate Space (Field-Tested)": "24.60",
    "M4A4 | Neo-Noir (Minimal Wear)": "46.80",
    "M4A4 | The Emperor (Field-Tested)": "15.45",
    "USP-S | Kill Confirmed (Field-Tested)": "52.30",
    "USP-S | Cortex (Minimal Wear)": "7.15",
    "Glock-18 | Vogue (Field-Tested)": "4.90",
    "Glock-18 | Water Elemental (Minimal Wear)": "11.25",
    "Desert Eagle | Printstream (Field-Tested)": "49.99",
    "Desert Eagle | Mecha Industries (Minimal Wear)": "13.60",
    "P250 | See Ya Later (Field-Tested)": "2.85",
    "P90 | Asiimov (Field-Tested)": "8.20",
    "MAC-10 | Neon Rider (Minimal Wear)": "6.75",
    "MP9 | Starlight Protector (Field-Tested)": "9.40",
    "FAMAS | Roll Cage (Field-Tested)": "3.35",
    "Galil AR | Chatterbox (Battle-Scarred)": "12.15",
    "StatTrak™ AK-47 | Ice Coaled (Field-Tested)": "21.90",
    "StatTrak™ P2000 | Fire Elemental (Field-Tested)": "14.80",
    "Sticker | Crown (Foil)": "689.00",
    "★ Driver Gloves | King Snake (Field-Tested)": "312.50",
    "★ Huntsman Knife | Slaughter (Minimal Wear)": "243.75",
    "★ Butterfly Knife | Doppler (Factory New)": "1184.20",
}

RUST_SKINS: dict[str, str] = {
    "Tempered AK47": "26.90",
    "Glory AK47": "41.20",
    "Big Grin": "88.40",
    "Metal Facemask - Blackout": "37.75",
    "No Mercy Door": "4.30",
    "Whiteout Hoodie": "12.60",
    "Forest Raiders Pants": "6.15",
    "Neon Sheet Metal Door": "9.95",
}


@dataclass(frozen=True)
class Listing:
    """One thing for sale. Price in USD."""

    id: str
    game: str
    name: str
    price: Decimal


class Market:
    """What is for sale now; whatever is sold is listed anew under another id, at a slightly other price."""

    def __init__(self) -> None:
        self.listings: dict[str, Listing] = {}
        for game, skins in ((CS2, CS2_SKINS), (RUST, RUST_SKINS)):
            for name, price in skins.items():
                self._list(game, name, Decimal(price))

    def of_game(self, game: str) -> list[Listing]:
        """Everything for sale in a game."""
        return [listing for listing in self.listings.values() if listing.game == game]

    def sell(self, listing: Listing) -> None:
        """Take a listing off the market."""
        del self.listings[listing.id]
        drift = Decimal(chance.randint(97, 103)) / 100
        self._list(listing.game, listing.name, (listing.price * drift).quantize(Decimal("0.01")))

    def _list(self, game: str, name: str, price: Decimal) -> None:
        fresh = listing_id() if game == CS2 else f"{game}_{uuid.uuid4().hex[:20]}_{uuid.uuid4().hex[:8]}"
        self.listings[fresh] = Listing(fresh, game, name, price)
