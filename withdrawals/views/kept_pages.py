"""Whole pages as text, found by everything that they show, as their rows are (`views/rows.py`).

A view first reads all that its page shows, and hands it over as `facts`. Where a page was made of the very same, for
somebody who may do the same, it is that text; else it is made now, and may ask the database nothing more: a page that
shows a fact which was not handed over is reported and never kept. What differs by the second or by the form is a slot.
"""

import logging
from collections.abc import Callable, Hashable, Iterable
from datetime import datetime
from typing import Any, NamedTuple, NoReturn

from django.conf import settings
from django.contrib.messages import get_messages
from django.db import connection
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.timezone import get_current_timezone_name
from django.utils.translation import get_language

from withdrawals.templatetags.desk import iso
from withdrawals.templatetags.kept import Slot
from withdrawals.views.access import DeskRequest, asks_for_itself, way_back
from withdrawals.views.rows import Pieces, fill

log = logging.getLogger(__name__)

# Each is some 80 kB, a large trade's 200.
KEPT = 100


class NotHandedOver(RuntimeError):
    """A page that is to be kept asked the database for more than its facts."""


class Kept(NamedTuple):
    """A page as text, and from when until when it says what its facts say."""

    pieces: Pieces
    made_at: datetime
    until: datetime | None

    def holds(self, now: datetime) -> bool:
        """Whether it still says what its facts say."""
        return self.made_at <= now and (self.until is None or now < self.until)

    def answer(self, request: DeskRequest, now: datetime) -> HttpResponse:
        """The page, with what differs by the second or by the form."""
        filled: dict[str, str] = {Slot.TOKEN: get_token(request), Slot.NOW: iso(now)}
        return HttpResponse("".join(fill(self.pieces, filled, now)))


PAGES: dict[Hashable, Kept] = {}


def may_be_kept(request: DeskRequest) -> bool:
    """Whether nothing stands on this page but what its view reads: no message, no banner."""
    # To count them does not tell them.
    has_message = len(get_messages(request)) > 0
    has_banner = request.counts.ringing or request.counts.unmarked
    return not (has_message or has_banner or request.user.is_superuser)


def kept_page(
    request: DeskRequest,
    template: str,
    facts: Hashable,
    *,
    now: datetime,
    shown: Callable[[], dict[str, Any]],
    changes_at: Callable[[], Iterable[datetime]],
    is_personal: bool = False,
) -> HttpResponse:
    """The page of these facts at `now`: `shown` makes the template's context, `changes_at` tells when it is another.

    `facts` and the address tell all that `shown` uses. A page that asks for itself shows nothing of who asks, unless it
    `is_personal`. A page that asks the database for more is made once more without being kept, and logged as an error.
    """
    is_personal = is_personal or not asks_for_itself(request)
    person = request.user
    who = () if not is_personal else (person.pk, person.email, tuple(person.role_names), person.time_zone)
    key = (template, facts, look_of(request), who)
    page = PAGES.get(key)
    if page is None or not page.holds(now):
        try:
            page = _made(request, template, now, shown, changes_at, is_personal)
        except NotHandedOver:
            log.exception("A page could not be kept")
            request.is_kept = False
            return render(request, template, shown())
        if len(PAGES) >= KEPT:
            PAGES.clear()
        PAGES[key] = page
    if not is_personal:
        request.made = page
    return page.answer(request, now)


def look_of(request: DeskRequest) -> Hashable:
    """Where and to whom a page looks the same, but for what it shows of the person who asks."""
    spoken = (get_language(), get_current_timezone_name(), settings.DEMO, settings.MFA_REQUIRED)
    place = (request.get_full_path(), way_back(request), bool(request.htmx))
    return spoken, place, frozenset(request.user.get_all_permissions()), asks_for_itself(request)


def _made(
    request: DeskRequest,
    template: str,
    now: datetime,
    shown: Callable[[], dict[str, Any]],
    changes_at: Callable[[], Iterable[datetime]],
    is_personal: bool,
) -> Kept:
    request.is_kept = True
    with connection.execute_wrapper(_asks_for_more):
        context = shown() | {"csrf_token": Slot.TOKEN}
        if not is_personal:
            context["user"] = None
        text = render_to_string(template, context, request)
    coming = [moment for moment in changes_at() if moment > now]
    return Kept(Slot.split(text), now, min(coming, default=None))


def _asks_for_more(_: Any, sql: str, *__: Any) -> NoReturn:
    raise NotHandedOver(f"A page that is kept shows what was not handed over: {sql[:200]}")
