"""Which items an address of the worklist names: the list shows them, and a batch freezes the very same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.utils.translation import gettext

from withdrawals.forms import SearchForm
from withdrawals.models import Batch, Item
from withdrawals.models.item_names import Named
from withdrawals.models.words import as_kept
from withdrawals.views.worklist import TAB_BY_NAME, TABS, Items, Tab


@dataclass(frozen=True)
class Found:
    """The items of an address at one moment, in words too; `problem` where the address could not be read in full.

    `few` are the keys of what an id found, where they are few; `named` is what was looked for among names.
    """

    holds: Callable[[], Items]
    few: tuple[int, ...]
    named: Named | None
    matching: Items | None
    tab: Tab
    tab_asked: Tab
    text: str
    is_id: bool
    batch: Batch | None
    cursor: str
    problem: str
    now: datetime

    @cached_property
    def items(self) -> Items:
        """All of them; to say so costs more than many a page, which reads its rows by a statement that is known."""
        return self.holds()

    @property
    def by_tab(self) -> list[Items]:
        """What of it each tab holds; an id, or nothing asked for, leaves them whole."""
        held = [each.holds(self.now) for each in TABS]
        return held if self.matching is None or self.is_id else [each & self.matching for each in held]

    @property
    def in_words(self) -> str:
        """What was chosen, as a batch keeps it."""
        if self.batch is not None:
            return f"What batch {self.batch.pk} could not do"
        if self.is_id:
            return f"Found by the id “{self.text}”"
        with as_kept():
            return f"“{self.tab.label}”, named like “{self.text}”" if self.text else f"All of “{self.tab.label}”"


def find_items(address: Mapping[str, str], *, now: datetime) -> Found:
    """The items that `tab`, `q` and `batch` of an address name; an id ignores every other filter."""
    form = SearchForm(address)
    problem = "" if form.is_valid() else gettext("That search cannot be read. Shorten it, or clear it.")
    text = form.cleaned_data.get("q", "").strip()
    tab = TAB_BY_NAME.get(address.get("tab") or "can")
    if tab is None:
        problem, tab = gettext("There is no such tab. This is what can be cancelled now."), TAB_BY_NAME["can"]
    matching, is_id = Item.objects.search(text) if text else (None, False)
    shown = TAB_BY_NAME["all"] if is_id else tab

    def holds() -> Items:
        if matching is not None and is_id:
            return matching
        return shown.holds(now) if matching is None else shown.holds(now) & matching

    few = matching.few if matching is not None and is_id else ()
    named = matching.named if matching is not None and not is_id else None
    batch = None
    if number := form.cleaned_data.get("batch"):
        batch = Batch.objects.filter(pk=number).first()
        if batch is None:
            problem = gettext("There is no such batch. This is the worklist.")
        else:
            few, named, shown = (), None, TAB_BY_NAME["all"]
            leftovers = batch.leftovers().values("item")
    return Found(
        holds=holds if batch is None else lambda: Item.objects.filter(pk__in=leftovers),
        few=few,
        named=named,
        matching=matching,
        tab=shown,
        tab_asked=tab,
        text=text,
        is_id=is_id,
        batch=batch,
        cursor=form.cleaned_data.get("cursor", ""),
        problem=problem,
        now=now,
    )
