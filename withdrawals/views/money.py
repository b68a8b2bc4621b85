"""The money screen: what is owed, what each item cost and gave back, what does not close, and the wallet."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Count, Min, Sum
from django.http import HttpResponse
from django.views.decorators.http import require_safe

from withdrawals.filters import MoneyFilter
from withdrawals.models import Refund, RefundState, WalletReading
from withdrawals.models.refund_gaps import GAP_KINDS, GapKind
from withdrawals.models.refund_rules import OWED_REFUNDS
from withdrawals.views.access import DeskRequest, needs
from withdrawals.views.lists import render_list

ROWS_OF_A_GAP = 20


@dataclass(frozen=True)
class Gap:
    """One kind of what does not close, with its count and its first rows."""

    kind: GapKind
    count: int
    rows: list[tuple[Any, Any, Decimal | None]]


@require_safe
@needs("see_desk")
def money(request: DeskRequest) -> HttpResponse:
    """GET /refunds/money/: totals to the cent, per item by `q`, the gaps, and the wallet as the clock last read it."""
    owed = Refund.objects.filter(state__in=OWED_REFUNDS)
    by_state = {
        row["state"]: row
        for row in owed.values("state").annotate(count=Count("pk"), total=Sum("amount"), oldest=Min("opened_at"))
    }
    everything = owed.aggregate(count=Count("pk"), total=Sum("amount"), oldest=Min("opened_at"))
    paid = Refund.objects.filter(state=RefundState.CONFIRMED).aggregate(count=Count("pk"), total=Sum("net"))
    people = ("confirmed_by", "waived_by", "set_by")
    refunds = Refund.objects.select_related("item__trade", "evidence_delivery", "evidence_read", *people).defer(
        "evidence_delivery__body", "evidence_read__document", "item__document", "item__trade__document"
    )
    gaps = [_gap(kind) for kind in GAP_KINDS]
    last = WalletReading.objects.order_by("-last_read_at", "-pk").first()
    return render_list(
        request,
        "money.html",
        MoneyFilter(request.GET, queryset=refunds),
        by="opened_at",
        owed=everything,
        by_state=[(state, by_state.get(state)) for state in OWED_REFUNDS],
        paid=paid,
        gaps=gaps,
        has_gaps=any(gap.count for gap in gaps),
        wallet=WalletReading.objects.latest_answer().first(),
        wallet_failure=last if last is not None and last.failure else None,
    )


def _gap(kind: GapKind) -> Gap:
    rows = kind.rows()
    related = ("trade",) if kind.name == "forgotten" else ("item__trade", "set_by", "waived_by")
    found = list(rows.select_related(*related).order_by("-pk")[: ROWS_OF_A_GAP + 1])
    # Counting is only needed where there are more than are shown.
    count = len(found) if len(found) <= ROWS_OF_A_GAP else rows.count()
    shown = [(row, getattr(row, "item", row), kind.difference(row)) for row in found[:ROWS_OF_A_GAP]]
    return Gap(kind, count, shown)
