"""The rows of items as text: made once for all to whom they look the same, and kept.

A kept row needs no invalidation, because it is found by everything that it shows. `row_pieces` is given those values
and makes the row from them alone: a column that is not among them cannot be read (`FETCH_RAISE`), so a column that the
template begins to use is an error until it is part of the key. Time is in the key as `stands_since`: the last moment
at which the row began to say what it says, such as the one from which AssetPay takes a cancel. What differs from one
person or second to the next (relative times, the way back, the form's token, who else is there) is a slot, which is
filled when a page is made.
"""

import logging
from collections import namedtuple
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.db.models import FETCH_RAISE, Model, QuerySet
from django.middleware.csrf import get_token
from django.template.loader import get_template
from django.utils.html import escape
from django.utils.safestring import SafeString
from django.utils.timezone import get_current_timezone_name
from django.utils.translation import get_language

from withdrawals.models import Cancellation, Item, Refund, Trade, User
from withdrawals.models.cancellation import OPEN_STATES
from withdrawals.models.item import cancel_window
from withdrawals.models.prepared import rows_of
from withdrawals.templatetags.desk import relative_in
from withdrawals.templatetags.kept import Slot
from withdrawals.views.access import DeskRequest, way_back
from withdrawals.views.moulds import Mould, forms_of, mould, stand_in, title_of
from withdrawals.views.worklist import (
    ItemRow,
    Items,
    presence_words,
    who_is_there,
)

log = logging.getLogger(__name__)

OF_ITEM = (
    "pk",
    "trade_id",
    "opened_at",
    "assetpay_id",
    "status",
    "reported_status",
    "status_changed_at",
    "error",
    "price",
    "first_price",
    "name",
    "market_hash_name",
    "icon_url",
    "exterior",
    "is_cs2_withdrawal",
)
OF_TRADE = ("pk", "assetpay_id", "type", "game", "source", "client_steam_id", "auto_cancel_at")
OF_REQUEST = (
    "pk",
    "item_id",
    "number",
    "state",
    "requested_at",
    "changed_at",
    "send_from",
    "batch_id",
    "armed_status",
    "needs_person",
    "waits_for",
    "ended_because",
    "answer_key",
)
SHOWN = (*OF_ITEM, *(f"trade__{name}" for name in OF_TRADE), "refund__pk", "refund__state")


def _named(name: str, columns: tuple[str, ...]) -> Any:
    return namedtuple(name, columns)


Asked = _named("Asked", (*OF_REQUEST, "requested_by_id", "requested_by__email"))
# As `facts_of` has it.
Facts = _named("Facts", SHOWN)
BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
# Each is a few kilobytes of text.
KEPT = 2_000
MOULDS = 500
Pieces = tuple[str | datetime, ...]


class KeptText(NamedTuple):
    """What a template made, with its slots, and the same in pieces."""

    text: str
    pieces: Pieces


def kept_text(text: str) -> KeptText:
    """What a template made, to be kept."""
    return KeptText(text, Slot.split(text))


class Look(NamedTuple):
    """To whom a row looks the same: what they may do, language and time zone, and a page that ticks its rows or not."""

    may_cancel: bool
    may_select: bool
    language: str
    zone: str
    is_ticked: bool = False
    notice: str = ""


class KeptRow(NamedTuple):
    """One row, and what of it a page says elsewhere too."""

    kept: KeptText
    has_ended: bool
    title: str
    why_not: str


class LinePage:
    """What the template of a row or a line asks of the page it will stand on."""

    here = Slot.BACK

    def relative(self, moment: datetime) -> SafeString:
        """A place for how long ago it was."""
        return Slot.time(moment)


def facts_of(items: Items, *more: str) -> QuerySet[Item, Any]:
    """All that the rows of these items show, but for their cancellations, and `more` to put them in order by."""
    return items.values_list(*SHOWN, *more, named=True)


class Beside(NamedTuple):
    """What rows show beside the facts of their items: the latest request of each, and who else is there."""

    asked: tuple[Any, ...]
    there: tuple[tuple[int, str], ...]


def beside(facts: Iterable[Any], *, person: User, now: datetime, is_anybody_there: bool = True) -> Beside:
    """What stands beside these rows, in two statements; in one where nobody else is anywhere."""
    keys = tuple([fact.pk for fact in facts])
    asked = {each.item_id: each for each in map(Asked._make, rows_of(_requests, keys=keys))} if keys else {}
    there = who_is_there(facts, person=person, now=now) if is_anybody_there else {}
    return Beside(tuple(asked.values()), tuple((pk, presence_words(who)) for pk, who in there.items()))


def changes_at(facts: Iterable[Any], asked: Iterable[Any]) -> list[datetime]:
    """The moments at which these rows begin to say something else by themselves."""
    due, window = [each.send_from for each in asked if each.state in OPEN_STATES], cancel_window()
    return due + [fact.opened_at + window for fact in facts]


def row_texts(
    facts: list[Any],
    *,
    request: DeskRequest,
    now: datetime,
    is_ticked: bool = False,
    notice: str = "",
    known: Beside | None = None,
) -> list[SafeString]:
    """The rows of what `facts_of` found, in its order, as they stand at `now` for the person of this request.

    `known` is what stands beside them, where that has been read. In a page that is kept the slots stay.
    """
    known = known or beside(facts, person=request.user, now=now)
    there = {pk: escape(words) for pk, words in known.there}
    is_kept = getattr(request, "is_kept", False)
    filled: dict[str, str] = {Slot.BACK: escape(way_back(request))}
    if not is_kept:
        filled[Slot.TOKEN] = get_token(request)
    texts = []
    rows = kept_rows(facts, request=request, now=now, known=known, is_ticked=is_ticked, notice=notice)
    for fact, row in zip(facts, rows, strict=True):
        here = there.get(fact.pk, "")
        if is_kept:
            text = row.kept.text.replace(Slot.BACK, filled[Slot.BACK]).replace(Slot.HERE, here)
        else:
            filled[Slot.HERE] = here
            text = "".join(fill(row.kept.pieces, filled, now))
        # What a template made, and slots that are escaped.
        texts.append(SafeString(text))
    return texts


def kept_rows(
    facts: list[Any],
    *,
    request: DeskRequest,
    now: datetime,
    known: Beside,
    is_ticked: bool = False,
    notice: str = "",
) -> list[KeptRow]:
    """The rows of these facts as they are kept, made now where they are not."""
    person, window = request.user, cancel_window()
    spoken = (get_language() or "", get_current_timezone_name())
    look = Look(person.may("cancel_item"), person.may("cancel_in_bulk"), *spoken, is_ticked, notice)
    last = {asked.item_id: asked for asked in known.asked}
    rows = []
    for fact in facts:
        asked = last.get(fact.pk)
        opens_at = fact.opened_at + window
        is_open = asked is not None and asked.state in OPEN_STATES
        since = stands_since((opens_at, asked.send_from) if is_open and asked else (opens_at,), now)
        given = tuple(fact)[: len(SHOWN)]
        rows.append(row_pieces(given, None if asked is None else tuple(asked), opens_at, since, look))
    return rows


def one_row(pk: int, *, request: DeskRequest, now: datetime, notice: str = "") -> SafeString:
    """The row of this item. Raises Item.DoesNotExist."""
    return row_texts([facts_of(Item.objects.all()).get(pk=pk)], request=request, now=now, notice=notice)[0]


def stands_since(moments: tuple[datetime, ...], now: datetime) -> datetime:
    """The last of `moments` that has come by `now`; before all of them the beginning of time.

    What depends on the time only by which of `moments` have come is the same at both.
    """
    return max((moment for moment in moments if moment <= now), default=BEFORE_ALL)


@lru_cache(maxsize=KEPT)
def row_pieces(
    facts: tuple[Any, ...], asked: tuple[Any, ...] | None, opens_at: datetime, since: datetime, look: Look
) -> KeptRow:
    """One row as text and what goes between: a pure function, kept by its arguments.

    `opens_at` is there because the length of AssetPay's window, which `facts` do not hold, is a setting.
    """
    if asked is not None or since != opens_at:
        return _made_by_template(facts, asked, since, look)
    # Nobody asked for it, and it is old enough: of such rows many have one shape.
    named = Facts._make(facts)
    shape = stand_in(named, 1)
    known = _mould_of(shape, look)
    if known is None:
        return _made_by_template(facts, None, since, look)
    forms = forms_of(named)
    row = KeptRow(kept_text(known.mould.cast(forms)), known.like.has_ended, title_of(named), known.like.why_not)
    if not known.is_proved:
        by_template = _made_by_template(facts, None, since, look)
        if row != by_template:
            log.error("A row did not come out of its mould as its template makes it")
            return by_template
        known.is_proved = True
    return row


@dataclass
class RowMould:
    """The mould of all rows of one shape, one of them, and whether a real one has come out as its template makes it."""

    mould: Mould
    like: KeptRow
    is_proved: bool = False


@lru_cache(maxsize=MOULDS)
def _mould_of(shape: Any, look: Look) -> RowMould | None:
    """The mould of this shape; None where another row of it would not come out as the template makes it."""
    other, window = stand_in(shape, 2), cancel_window()
    like, unlike = (_made_by_template(tuple(each), None, each.opened_at + window, look) for each in (shape, other))
    made = mould(like.kept.text, forms_of(shape))
    fits = made.cast(forms_of(other)) == unlike.kept.text
    return RowMould(made, like) if fits and like.why_not == unlike.why_not else None


def _made_by_template(facts: tuple[Any, ...], asked: tuple[Any, ...] | None, since: datetime, look: Look) -> KeptRow:
    item = _made(Item, OF_ITEM, facts)
    item.trade = _made(Trade, OF_TRADE, facts[len(OF_ITEM) :])
    *_, refund_pk, refund_state = facts
    refund = None if refund_pk is None else _made(Refund, ("pk", "state"), (refund_pk, refund_state))
    row = ItemRow(
        item=item,
        cancellation=_request(asked) if asked else None,
        refund=refund,
        refusal=item.cancel_refusal(since),
        may_cancel=look.may_cancel,
        may_select=look.may_select,
        now=since,
        notice=look.notice,
    )
    shown = {"row": row, "desk": LinePage(), "who": Slot.HERE, "csrf_token": Slot.TOKEN, "ticked": look.is_ticked}
    kept = kept_text(get_template("items.html#item-row").render(shown))
    return KeptRow(kept, item.has_ended, item.title, row.why_not)


def _requests(keys: tuple[int, ...]) -> QuerySet[Cancellation, Any]:
    requests = Cancellation.objects.filter(item__in=keys).order_by("number")
    return requests.values_list(*OF_REQUEST, "requested_by_id", "requested_by__email")


def _request(asked: tuple[Any, ...]) -> Cancellation:
    request = _made(Cancellation, OF_REQUEST, asked)
    request.requested_by = _made(User, ("pk", "email"), asked[len(OF_REQUEST) :])
    return request


def _made[Row: Model](model: type[Row], names: tuple[str, ...], values: tuple[Any, ...]) -> Row:
    """A row of which these columns are known, and no others can be asked for."""
    given = dict(zip(names, values, strict=False))
    fields = [field.attname for field in model._meta.concrete_fields]
    primary = model._meta.pk.attname if model._meta.pk else ""
    known = {(primary if name == "pk" else name): value for name, value in given.items()}
    ordered = [name for name in fields if name in known]
    return model.from_db(None, ordered, [known[name] for name in ordered], fetch_mode=FETCH_RAISE)


def fill(pieces: Pieces, filled: dict[str, str], now: datetime | None) -> Iterator[str]:
    """The text of these pieces; without `now` the times stay slots."""
    language = get_language()
    for piece in pieces:
        if isinstance(piece, datetime):
            yield Slot.time(piece) if now is None else relative_in(language, piece, now)
        else:
            yield filled.get(piece, piece)
