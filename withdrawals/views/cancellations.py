"""What was asked of AssetPay and what became of it; and taking a request back before it leaves."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from withdrawals.actions.cancellations import UndoRefused, undo_cancellation
from withdrawals.filters import CancellationFilter, stuck_or_unknown
from withdrawals.models import Cancellation, SavedList, Settlement
from withdrawals.views.access import DeskRequest, needs, screen_origin
from withdrawals.views.fresh import keeps_fresh
from withdrawals.views.items import answer_with_row
from withdrawals.views.lists import render_list
from withdrawals.views.saved_views import shown_views

COLUMNS = (
    ("asked", gettext_lazy("Asked")),
    ("state", gettext_lazy("State")),
    ("words", gettext_lazy("AssetPay's words")),
)


@dataclass(frozen=True)
class CancellationRow:
    """What the row of one cancellation shows."""

    asked: Cancellation
    now: datetime
    may_settle: bool

    @property
    def settlement(self) -> Settlement | None:
        """What people said of it, if anybody did."""
        return getattr(self.asked, "settlement", None)

    @property
    def proposed(self) -> Settlement | None:
        """What one person proposed and nobody approved yet."""
        settlement = self.settlement
        return settlement if settlement and settlement.settled_at is None and self.asked.is_open else None

    @cached_property
    def void_because(self) -> str:
        """Why that cannot be approved any more; empty where it can be."""
        return self.proposed.void_because() if self.proposed else ""

    @property
    def can_settle(self) -> bool:
        """Whether this person may settle it now, or propose that."""
        is_proposed = self.proposed is not None and not self.void_because
        return self.may_settle and not is_proposed and not self.asked.settle_refusal(self.now)


@require_safe
@needs("see_desk")
@keeps_fresh
def cancellation_list(request: DeskRequest) -> HttpResponse:
    """GET /cancellations/: newest first, by `state` and `q`; `state=person` is the worklist of what got stuck."""
    return cancellations_page(request)


def cancellations_page(request: DeskRequest, *, problem: str = "", status: int = 200) -> HttpResponse:
    """The list as an answer; `problem` and its status where an act on one of its rows was refused."""
    now, may_settle = timezone.now(), request.user.may("settle_cancellation")
    requests = Cancellation.objects.select_related(
        "item__trade", "requested_by", "batch", "settlement__proposed_by", "settlement__approved_by"
    )
    filters = CancellationFilter(request.GET, queryset=requests)
    return render_list(
        request,
        "cancellations.html",
        filters,
        by="requested_at",
        sorts="asked",
        columns=COLUMNS,
        problem=problem,
        status=status,
        waiting=stuck_or_unknown().count(),
        saved=shown_views(
            request,
            SavedList.CANCELLATIONS,
            lambda query: CancellationFilter(query, queryset=Cancellation.objects.all()),
        ),
        to_rows=lambda rows: [CancellationRow(asked, now=now, may_settle=may_settle) for asked in rows],
    )


@require_POST
@needs("cancel_item")
def cancellation_undo(request: DeskRequest, pk: int) -> HttpResponse:
    """POST /cancellations/<pk>/undo/: take it back, or 409 where it has already left."""
    now = timezone.now()
    try:
        cancellation = undo_cancellation(cancellation_id=pk, actor=request.user, origin=screen_origin(request), now=now)
    except UndoRefused as refused:
        item_id = Cancellation.objects.values_list("item_id", flat=True).get(pk=pk)
        return answer_with_row(request, item_id, refusal=str(refused))
    except Cancellation.DoesNotExist as error:
        raise Http404("No such cancellation.") from error
    messages.success(request, gettext("Taken back before it left: {item}.").format(item=cancellation.item))
    return answer_with_row(request, cancellation.item_id)
