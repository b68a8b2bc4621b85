"""What every page shows around its own content: who is logged in, the rail's counts, and warnings for everybody."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from typing import cast

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from withdrawals.models import Alarm, AlarmKind, Counts, Delivery, count_desk
from withdrawals.models.delivery import WARN_FOR
from withdrawals.templatetags.desk import iso, relative, role_words
from withdrawals.templatetags.kept import Slot
from withdrawals.views.access import DeskRequest, asks_for_itself, way_back
from withdrawals.views.script_words import script_words

# Asked for thirty times on each page, and always the same.
_address = cache(reverse)


@dataclass(frozen=True)
class RailEntry:
    """One line of the rail; `count` is what waits there for a person, `is_pressing` where it must not wait."""

    name: str
    label: str
    icon: str
    count: str = "0"
    is_pressing: bool = False
    permission: str = "see_desk"

    @property
    def address(self) -> str:
        """Where it leads."""
        return _address(self.name)

    def holds(self, path: str) -> bool:
        """Whether the page at `path` belongs to it."""
        return path == self.address if self.name == "overview" else path.startswith(self.address)


class Desk:
    """Asks the database only for what a template shows: a fragment shows none of it."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = cast(DeskRequest, request)

    @cached_property
    def now(self) -> datetime:
        """The server's clock when the page was made."""
        return timezone.now()

    @property
    def layout(self) -> str:
        """What a page stands in: its whole shell, or no more than what a page that asks for itself looks at."""
        return "live_page.html" if asks_for_itself(self._request) else "base.html"

    @property
    def is_demo(self) -> bool:
        """Whether AssetPay is the sandbox."""
        return bool(settings.DEMO)

    @property
    def undo_seconds(self) -> int:
        """How long what was asked for waits before it leaves, at least."""
        return int(settings.UNDO_SECONDS)

    @property
    def needs_no_second_factor(self) -> bool:
        """Whether a password alone opens the desk."""
        return not settings.MFA_REQUIRED

    @property
    def company(self) -> str:
        """What the company's own provider is called, where there is one."""
        return settings.OIDC_NAME if settings.OIDC_ISSUER else ""

    @cached_property
    def script_words(self) -> str:
        """What the scripts say, where that is not English."""
        return script_words()

    @property
    def here(self) -> str:
        """The page that a form comes back to, without JavaScript too."""
        return way_back(self._request)

    @property
    def now_text(self) -> str:
        """The same for machines."""
        return Slot.NOW if self._is_kept else iso(self.now)

    def relative(self, moment: datetime) -> str:
        """How long ago or how far ahead."""
        return Slot.time(moment) if self._is_kept else relative(moment, self.now)

    @property
    def _is_kept(self) -> bool:
        """Whether this page is made to be kept: what differs by the second is filled in later."""
        return getattr(self._request, "is_kept", False)

    @cached_property
    def is_member(self) -> bool:
        """Whether somebody is logged in who may see the desk: by role, and by a second factor where one is needed."""
        user = getattr(self._request, "user", None)
        if user is None or not user.is_authenticated or not user.may("see_desk"):
            return False
        # A session that has given its second factor has been let through to here; another is looked after.
        used = getattr(self._request, "used_second_factor", False)
        return self.needs_no_second_factor or used or user.authenticator_set.exists()

    @cached_property
    def roles(self) -> str:
        """The roles of whoever is logged in."""
        return role_words(self._request.user.role_names)

    @cached_property
    def unmarked_approval(self) -> Delivery | None:
        """The last approval that AssetPay sent to this desk itself, within a day."""
        if not self.is_member or not self.counts.unmarked:
            return None
        return Delivery.objects.unmarked_approvals(self.now - WARN_FOR).order_by("-last_received_at").first()

    @cached_property
    def alarms(self) -> list[Alarm]:
        """What is wrong with what comes in; approvals have a banner of their own, which needs no clock to appear."""
        if not self.is_member or not self.counts.ringing:
            return []
        return list(Alarm.objects.ringing().exclude(kind=AlarmKind.APPROVALS_HERE))

    @cached_property
    def rail(self) -> tuple[RailEntry, ...]:
        """The noun pages, in the order of the work, with what waits in each."""
        entries = [
            RailEntry("overview", gettext("Overview"), "gauge"),
            RailEntry("item_list", gettext("Items"), "package", str(self.counts.can)),
            RailEntry("trade_list", gettext("Trades"), "arrow-left-right"),
            RailEntry(
                "cancellation_list",
                gettext("Cancellations"),
                "circle-x",
                str(self.counts.open),
                is_pressing=bool(self.counts.uncertain),
            ),
            RailEntry("sending", gettext("Sending"), "send"),
            RailEntry("batch_list", gettext("Batches"), "layers"),
            RailEntry("refund_list", gettext("Refunds"), "banknote-arrow-up", str(self.counts.owed)),
            RailEntry(
                "delivery_list",
                gettext("Callbacks"),
                "inbox",
                str(self.counts.troubled),
                is_pressing=bool(self.counts.troubled),
            ),
            RailEntry("alarm_list", gettext("Alarms"), "bell", str(len(self.alarms)), is_pressing=bool(self.alarms)),
            RailEntry("audit_list", gettext("Audit log"), "scroll-text", permission="see_audit"),
            RailEntry("person_list", gettext("People"), "users", permission="manage_people"),
        ]
        return tuple(entry for entry in entries if self._request.user.may(entry.permission))

    @property
    def pressing(self) -> int:
        """How many things must not wait, for the title and the icon of the tab."""
        waiting = [entry for entry in self.rail if entry.is_pressing]
        return sum(
            self.counts.uncertain if entry.name == "cancellation_list" else int(entry.count) for entry in waiting
        )

    @cached_property
    def counts(self) -> Counts:
        """How many wait where; the same that the page itself shows, if it has counted."""
        counted: Counts | None = getattr(self._request, "counts", None)
        return counted or count_desk(self.now)

    @property
    def current(self) -> RailEntry | None:
        """Where in the rail this page stands."""
        return next((entry for entry in self.rail if entry.holds(self._request.path)), None)


def desk(request: HttpRequest) -> dict[str, Desk]:
    """The context processor named in the settings."""
    return {"desk": Desk(request)}
