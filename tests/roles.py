"""The matrix of routes, methods and roles: `tests/roles.toml` read against the addresses that there are."""

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from tests.factories import (
    CancellationFactory,
    DeliveryFactory,
    ItemFactory,
    RefundFactory,
    TradeFactory,
    UserFactory,
)
from withdrawals.models import Batch, BatchState, Role, SavedList, SavedView, Settlement

MATRIX = Path(__file__).with_name("roles.toml")
ROLES = frozenset(Role.values)
NOBODY, STRANGER, ROOT = "stranger", "no_role", "superuser"
VIEWERS = (*Role.values, NOBODY, STRANGER, ROOT)
# Words that stand for several of them. "open" is whoever asks, logged in or not.
WORDS = {
    "desk": ROLES,
    "person": ROLES | {STRANGER, ROOT},
    "open": frozenset(VIEWERS),
    "visitor": frozenset({NOBODY}),
    "none": frozenset[str](),
}
METHODS = ("GET", "POST")
# What to put into an address, by the noun that it begins with: a new noun with a key in its address gets a line here.
MADE: dict[str, Callable[[], int]] = {
    "items": lambda: ItemFactory().pk,
    "trades": lambda: TradeFactory().pk,
    "cancellations": lambda: CancellationFactory().pk,
    "refunds": lambda: RefundFactory().pk,
    "deliveries": lambda: DeliveryFactory().pk,
    "people": lambda: UserFactory().pk,
    "batches": lambda: (
        Batch.objects.create(
            requested_by=UserFactory(), created_at=timezone.now(), selection="ticked by hand", state=BatchState.DRAFT
        ).pk
    ),
    "settlements": lambda: (
        Settlement.objects.create(
            cancellation=CancellationFactory(), note="n", proposed_by=UserFactory(), proposed_at=timezone.now()
        ).pk
    ),
    "views": lambda: (
        SavedView.objects.create(
            name="Mine", saved_list=SavedList.ITEMS, owner=UserFactory(), is_shared=True, saved_at=timezone.now()
        ).pk
    ),
    "accounts": lambda: 1,
    # A person that is there; the other tables hold no such row.
    "admin": lambda: UserFactory().pk,
}
# What else an address may want.
GIVEN = {"key": "set-password", "uidb36": "1", "url": "nothing", "app_label": "withdrawals"}


@dataclass(frozen=True)
class Rule:
    """Who may use one address, by method; a method that is not named is for nobody."""

    route: str
    allowed: dict[str, frozenset[str]]
    asks_for_proof: bool


def rules() -> dict[str, Rule]:
    """The matrix as it is written."""
    table = tomllib.loads(MATRIX.read_text())
    return {route: _rule(route, cells) for section in table.values() for route, cells in section.items()}


def _rule(route: str, cells: dict[str, object]) -> Rule:
    allowed = {method: _viewers(str(cells.get(method, "none"))) for method in METHODS}
    return Rule(route, allowed, asks_for_proof=bool(cells.get("proof", False)))


def _viewers(text: str) -> frozenset[str]:
    return frozenset[str]().union(*(WORDS.get(word, frozenset({word})) for word in text.split()))


def routes() -> list[str]:
    """Every address of the process, as the URL conf writes it, in its order; one that is shadowed is named once."""
    return list(dict.fromkeys(_walk(get_resolver())))


def _walk(resolver: URLResolver, before: str = "") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        here = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern, here)
        elif isinstance(pattern, URLPattern):
            yield here


def address(route: str) -> str:
    """A path that this route answers, with rows made for it."""
    parts = route.split("/")
    noun = parts[1] if parts[0] in ("audit", "live") else parts[0]
    key = str(MADE[noun]()) if re.search(r"[<(]", route) and noun in MADE else ""
    path = re.sub(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)", lambda found: GIVEN.get(found[1], key), route)
    path = re.sub(r"<(?:\w+:)?(\w+)>", lambda found: GIVEN.get(found[1], key), path)
    return "/" + path.replace("^", "").replace("$", "")
