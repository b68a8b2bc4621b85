"""The page of the live invariants: green, or the rows that break a promise."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from withdrawals.actions.invariants import INVARIANTS
from withdrawals.models import InvariantResult
from withdrawals.views.access import DeskRequest, needs


@require_safe
@needs("see_desk")
def invariant_list(request: DeskRequest) -> HttpResponse:
    """GET /invariants/: each promise with what the last look at it found."""
    found = {result.name: result for result in InvariantResult.objects.all()}
    rows = [(invariant, found.get(invariant.name)) for invariant in INVARIANTS]
    broken = sum(1 for _, result in rows if result is not None and result.broken)
    context = {"rows": rows, "broken": broken, "unseen": sum(1 for _, result in rows if result is None)}
    return render(request, "invariants.html", context)
