"""The page of one trade: what was read of it, and what that says. Kept by all that it shows where nothing was owed.

What may be done with a refund hangs on who looks and on how old its evidence is, so a page with one is made each time.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import FETCH_RAISE, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.template.loader import get_template
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.timezone import get_current_timezone, get_current_timezone_name
from django.utils.translation import get_language, gettext

from withdrawals.forms import NoteForm
from withdrawals.models import Cancellation, Item, Refund, Trade, count_desk_and
from withdrawals.models.cancellation import OPEN_STATES
from withdrawals.models.prepared import Found, as_moment, converted, found_models, raw_rows_of
from withdrawals.views.access import DeskRequest
from withdrawals.views.kept_lines import line_texts
from withdrawals.views.kept_pages import kept_page, may_be_kept
from withdrawals.views.paging import LARGEST_KEY
from withdrawals.views.pending import Customs, customs, pending_words
from withdrawals.views.refunds import for_refund_rows, refund_row
from withdrawals.views.rows import (
    OF_ITEM,
    OF_TRADE,
    Beside,
    Facts,
    beside,
    changes_at,
    facts_of,
    kept_rows,
    row_texts,
)
from withdrawals.views.timeline import Timeline, kinds_there, timeline
from withdrawals.views.worklist import others_there

# Each is some three kilobytes of text.
KEPT = 1_000
TRUTHS: dict[Hashable, SafeString] = {}
OF_TRUTH = (
    *OF_ITEM[1:],
    *(f"trade__{name}" for name in OF_TRADE[1:]),
    "refund__state",
    "status_delivery__delivery_id",
    "status_read_id",
)


@dataclass(frozen=True)
class TradePage:
    """All that was read for one trade's page, as the driver has it."""

    trade: Found[Trade]
    items: Found[Item]
    requests: Found[Cancellation]
    item_facts: tuple[tuple[Any, ...], ...]
    known: Beside
    customs: Customs | None
    timeline: Timeline
    raw: Hashable
    has_refunds: bool

    @property
    def facts(self) -> Hashable:
        """Everything that the page shows, but for its refunds."""
        return self.raw, self.trade.rows, self.items.rows, self.requests.rows, self.known, self.customs

    def changes_at(self, now: datetime) -> Iterable[datetime]:
        """The moments at which it says something else by itself."""
        facts = [Facts._make(each) for each in self.item_facts]
        end = self.customs.end if self.customs else None
        column = self.requests.column("accepted_at")
        accepted = [moment for row in self.requests.rows if (moment := as_moment(row[column]))]
        tomorrow = now.astimezone(get_current_timezone()).date() + timedelta(days=1)
        midnight = datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=get_current_timezone())
        # Just beyond: what takes longer than usual is said of what took longer, not of what took as long.
        overdue = [moment + end.within + timedelta(microseconds=1) for moment in accepted] if end else []
        return [*changes_at(facts, self.known.asked), *overdue, midnight]


def trade_page(
    request: DeskRequest, pk: int, *, problem: str = "", note_form: NoteForm | None = None, status: int = 200
) -> HttpResponse:
    """The page of this trade; `problem` and its status where something that was asked for could not be done."""
    now = timezone.now()
    page = _read(request, pk, now)

    def shown() -> dict[str, Any]:
        return _shown(page, request, now) | {"problem": problem, "note_form": note_form or NoteForm()}

    # A whole timeline may be a megabyte, and few ask for one.
    is_plain = status == 200 and not problem and note_form is None and not page.timeline.is_whole
    if not is_plain or page.has_refunds or not may_be_kept(request):
        return render(request, "trade.html", shown(), status=status)
    facts = (page.facts, page.timeline.facts, request.counts)
    return kept_page(request, "trade.html", facts, now=now, shown=shown, changes_at=lambda: page.changes_at(now))


def _read(request: DeskRequest, pk: int, now: datetime) -> TradePage:
    trade = found_models(_trade, pk=pk) if pk <= LARGEST_KEY else None
    if trade is None or not trade.rows:
        raise Http404("No such trade.")
    raw, statement = raw_rows_of(_facts, trade=pk)
    item_facts = tuple([converted(row, statement) for row in raw])
    named = [Facts._make(each) for each in item_facts]
    counted = [others_there(request.user, now), *kinds_there(pk)]
    request.counts, (others, *there) = count_desk_and(counted, now)
    known = beside(named, person=request.user, now=now, is_anybody_there=others > 0)
    return TradePage(
        trade=trade,
        items=found_models(_items, trade=pk),
        requests=found_models(_requests, trade=pk),
        item_facts=item_facts,
        known=known,
        customs=customs() if any(each.state in OPEN_STATES for each in known.asked) else None,
        timeline=timeline(pk, is_whole=request.GET.get("timeline") == "all", there=there),
        raw=tuple(raw),
        has_refunds=any(each.refund__pk for each in named),
    )


def _trade(pk: int) -> QuerySet[Trade]:
    return Trade.objects.filter(pk=pk).defer("document").fetch_mode(FETCH_RAISE)


def _facts(trade: int) -> QuerySet[Item, Any]:
    return facts_of(Item.objects.filter(trade=trade).order_by("position", "pk"))


def _items(trade: int) -> QuerySet[Item]:
    items = Item.objects.filter(trade=trade).select_related("trade", "refund", "status_delivery")
    return items.only(*OF_TRUTH).fetch_mode(FETCH_RAISE).order_by("position", "pk")


def _requests(trade: int) -> QuerySet[Cancellation]:
    requests = Cancellation.objects.filter(item__trade=trade).select_related("requested_by", "batch")
    # What a log-in changes is no part of a request.
    read = requests.defer("requested_by__last_login", "requested_by__password")
    return read.fetch_mode(FETCH_RAISE).order_by("number")


def _shown(page: TradePage, request: DeskRequest, now: datetime) -> dict[str, Any]:
    (trade,) = page.trade.models()
    days, has_more = page.timeline.days(request=request, now=now)
    facts = [Facts._make(each) for each in page.item_facts]
    rows = kept_rows(facts, request=request, now=now, known=page.known)
    return {
        "trade": trade,
        "told": line_texts("trade.html#trade-told", page.trade, request=request, now=now)[0],
        # What templates made.
        "rows": SafeString("".join(row_texts(facts, request=request, now=now, known=page.known))),
        "many": len(rows),
        "truths": SafeString("".join(_truths(page, request, now))),
        "named": tuple([(fact.pk, row.title) for fact, row in zip(facts, rows, strict=True)]),
        "refund_rows": _refund_rows(trade, request, now) if page.has_refunds else [],
        "timeline": page.timeline,
        "days": days,
        "has_more": has_more,
        "why_not_whole": why_not_whole(request, [(row.has_ended, row.title, row.why_not) for row in rows]),
        # What a form that was refused brought stands at an address that cannot be asked for.
        "is_live": request.method == "GET",
    }


def _refund_rows(trade: Trade, request: DeskRequest, now: datetime) -> list[Any]:
    refunds = for_refund_rows(Refund.objects.filter(item__trade=trade)).order_by("item__position", "pk")
    return [refund_row(refund, person=request.user, now=now) for refund in refunds]


def _truths(page: TradePage, request: DeskRequest, now: datetime) -> Iterable[SafeString]:
    may_read = request.user.has_perm("withdrawals.read_document")
    spoken = (get_language(), get_current_timezone_name())
    item_id, state, pk = page.requests.column("item_id"), page.requests.column("state"), page.items.column("id")
    last = {raw[item_id]: raw for raw in page.requests.rows}
    for raw in page.items.rows:
        raw_asked = last.get(raw[pk])
        is_open = raw_asked is not None and raw_asked[state] in OPEN_STATES
        pending = ""
        if is_open and page.customs and raw_asked:
            pending = pending_words(page.requests.model(raw_asked), page.customs, now)
        key = (raw, raw_asked, pending, may_read, *spoken)
        text = TRUTHS.get(key)
        if text is None:
            perms = {"withdrawals": {"read_document": may_read}}
            asked = page.requests.model(raw_asked) if raw_asked else None
            shown = {"item": page.items.model(raw), "asked": asked, "pending": pending, "perms": perms}
            text = SafeString(get_template("trade.html#truth-row").render(shown))  # what a template made
            if len(TRUTHS) >= KEPT:
                TRUTHS.clear()
            TRUTHS[key] = text
        yield text


def why_not_whole(request: DeskRequest, rows: Sequence[tuple[bool, str, str]]) -> str:
    """Why the trade cannot be cancelled as a whole, for its button; the action decides by itself.

    Of each item: whether it has ended, its title, and why it cannot be cancelled.
    """
    if not request.user.may("cancel_in_bulk"):
        return gettext("Your role may look, not cancel. Agents and supervisors can.")
    unended = [(title, why_not) for has_ended, title, why_not in rows if not has_ended]
    if not unended:
        return gettext("Everything of this trade has ended.")
    return next((f"{title}: {why_not}" for title, why_not in unended if why_not), "")
