"""What every page shows around its own content: who is logged in, the rail's counts, and warnings for everybody."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import cast

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from withdrawals.models import Alarm, AlarmKind, Cancellation, CancellationState, Delivery, Refund
from withdrawals.models.refund_rules import OWED_REFUNDS
from withdrawals.views.access import DeskRequest
from withdrawals.views.fresh import asks_for_itself
from withdrawals.views.worklist import TAB_BY_NAME, count_up_to

WARN_FOR = timedelta(hours=24)


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
        return reverse(self.name)

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
    def needs_no_second_factor(self) -> bool:
        """Whether a password alone opens the desk."""
        return not settings.MFA_REQUIRED

    @property
    def company(self) -> str:
        """What the company's own provider is called, where there is one."""
        return settings.OIDC_NAME if settings.OIDC_ISSUER else ""

    @property
    def here(self) -> str:
        """The page that a form comes back to, without JavaScript too."""
        htmx = getattr(self._request, "htmx", None)
        if htmx and htmx.current_url_abs_path:
            return str(htmx.current_url_abs_path)
        return self._request.POST.get("next", "") or self._request.get_full_path()

    @cached_property
    def is_member(self) -> bool:
        """Whether somebody is logged in who may see the desk: by role, and by a second factor where one is needed."""
        user = getattr(self._request, "user", None)
        if user is None or not user.is_authenticated or not user.may("see_desk"):
            return False
        return self.needs_no_second_factor or user.authenticator_set.exists()

    @cached_property
    def roles(self) -> str:
        """The roles of whoever is logged in."""
        return ", ".join(self._request.user.groups.order_by("name").values_list("name", flat=True))

    @cached_property
    def unmarked_approval(self) -> Delivery | None:
        """The last approval that AssetPay sent to this desk itself, within a day."""
        if not self.is_member:
            return None
        return Delivery.objects.unmarked_approvals(self.now - WARN_FOR).order_by("-last_received_at").first()

    @cached_property
    def alarms(self) -> list[Alarm]:
        """What is wrong with what comes in; approvals have a banner of their own, which needs no clock to appear."""
        if not self.is_member:
            return []
        return list(Alarm.objects.ringing().exclude(kind=AlarmKind.APPROVALS_HERE))

    @cached_property
    def rail(self) -> list[RailEntry]:
        """The noun pages, in the order of the work, with what waits in each."""
        in_progress = Cancellation.objects.open().count()
        refunds = Refund.objects.filter(state__in=OWED_REFUNDS).count()
        troubled = Delivery.objects.needing_a_person().count()
        entries = [
            RailEntry("overview", "Overview", "gauge"),
            RailEntry("item_list", "Items", "package", count_up_to(TAB_BY_NAME["can"].holds(self.now))),
            RailEntry("trade_list", "Trades", "arrow-left-right"),
            RailEntry(
                "cancellation_list", "Cancellations", "circle-x", str(in_progress), is_pressing=bool(self.uncertain)
            ),
            RailEntry("sending", "Sending", "send"),
            RailEntry("batch_list", "Batches", "layers"),
            RailEntry("refund_list", "Refunds", "banknote-arrow-up", str(refunds)),
            RailEntry("delivery_list", "Callbacks", "inbox", str(troubled), is_pressing=bool(troubled)),
            RailEntry("alarm_list", "Alarms", "bell", str(len(self.alarms)), is_pressing=bool(self.alarms)),
            RailEntry("audit_list", "Audit log", "scroll-text", permission="see_audit"),
            RailEntry("person_list", "People", "users", permission="manage_people"),
        ]
        return [entry for entry in entries if self._request.user.may(entry.permission)]

    @property
    def pressing(self) -> int:
        """How many things must not wait, for the title and the icon of the tab."""
        waiting = [entry for entry in self.rail if entry.is_pressing]
        return sum(self.uncertain if entry.name == "cancellation_list" else int(entry.count) for entry in waiting)

    @cached_property
    def uncertain(self) -> int:
        """Cancellations whose outcome nobody knows."""
        return Cancellation.objects.filter(state=CancellationState.UNCERTAIN).count()

    @property
    def current(self) -> RailEntry | None:
        """Where in the rail this page stands."""
        return next((entry for entry in self.rail if entry.holds(self._request.path)), None)


def desk(request: HttpRequest) -> dict[str, Desk]:
    """The context processor named in the settings."""
    return {"desk": Desk(request)}
