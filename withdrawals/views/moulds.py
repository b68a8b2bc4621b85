"""The rows of items that nobody has kept yet, cast from a mould instead of made by the template one by one.

Two rows of the same shape differ in ids, names, prices and moments alone. The template makes such a row once, of values
that stand in for them, and so tells where each goes, as statements are written once (`models/prepared.py`). It is
trusted only where a second row of stand-ins, and the first real one, come out of the mould as the template makes them;
else, and wherever somebody asked for a cancel or the item is too young for one, the template makes the row.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.template.defaultfilters import urlencode
from django.utils.html import escape

from withdrawals.models import Item
from withdrawals.templatetags.desk import iso, picture, usd, zoned
from withdrawals.templatetags.kept import Slot

PICTURE = "https://community.cloudflare.steamstatic.com/economy/image/stand-in-{turn}"


class Mould(NamedTuple):
    """A text with the numbers of the forms that go between."""

    pieces: tuple[str | int, ...]

    def cast(self, forms: Sequence[str]) -> str:
        """The text with these forms in their places."""
        return "".join([forms[piece] if isinstance(piece, int) else piece for piece in self.pieces])


def mould(text: str, forms: Sequence[str]) -> Mould:
    """The mould of a text in which these forms, each of which occurs nowhere else, stand for what goes there."""
    number = {form: place for place, form in enumerate(forms) if form}
    # The longest first: one may lie within another.
    found = re.compile("|".join(re.escape(form) for form in sorted(number, key=len, reverse=True)))
    pieces: list[str | int] = []
    end = 0
    for match in found.finditer(text):
        pieces += (text[end : match.start()], number[match[0]])
        end = match.end()
    return Mould((*pieces, text[end:]))


def stand_in(facts: Any, turn: int) -> Any:
    """The same row of facts with stand-ins for all that makes no other shape; the first turn's is the shape's name.

    What the template asks of a value beyond what it is (whether there is one, whether the price has moved, whether the
    name says how worn it is) is true of the stand-ins if it is of the values.
    """
    title = f"<{turn}> Stand-In & “name” '{turn}'"
    if facts.exterior and facts.exterior in title_of(facts):
        title += facts.exterior
    first, moment = facts.first_price and Decimal(f"81{turn}1.2300"), datetime(2500 + turn, 1, 1, 1, 1, 1, 1, UTC)
    price = first if facts.price == facts.first_price else facts.price and Decimal(f"92{turn}2.3400")
    trade = 8 * 10**15 + turn
    return facts._replace(
        pk=7 * 10**15 + turn,
        trade_id=trade,
        trade__pk=trade,
        opened_at=moment,
        status_changed_at=moment + timedelta(days=33, hours=3),
        trade__auto_cancel_at=facts.trade__auto_cancel_at and moment + timedelta(days=66, hours=6),
        assetpay_id=f"<{turn}> item's & id",
        trade__assetpay_id=f"<{turn}> trade's & id",
        trade__client_steam_id=facts.trade__client_steam_id and f"<{turn}> steam & id",
        market_hash_name=title,
        name=None,
        price=price,
        first_price=first,
        refund__pk=facts.refund__pk and 6 * 10**15 + turn,
        icon_url=PICTURE.format(turn=turn) if picture(facts.icon_url) else None,
    )


def forms_of(facts: Any) -> list[str]:
    """In what forms the template writes these values: always the same number of them, empty where there is none."""
    moments = (facts.opened_at, facts.status_changed_at, facts.trade__auto_cancel_at)
    texts = (facts.assetpay_id, facts.trade__assetpay_id, facts.trade__client_steam_id, title_of(facts))
    forms = [str(facts.pk), str(facts.trade_id), escape(picture(facts.icon_url))]
    for moment in moments:
        forms += (iso(moment), zoned(moment), Slot.time(moment)) if moment else ("", "", "")
    for text in texts:
        forms += (escape(text), escape(urlencode(text))) if text else ("", "")
    for price in (facts.first_price, facts.price):
        forms.append(escape(usd(price)) if price else "")
    return forms


def title_of(facts: Any) -> str:
    """What the item is called."""
    title: str = Item.title.fget(facts)  # type: ignore[attr-defined] # the rule of the model, asked of its columns
    return title
