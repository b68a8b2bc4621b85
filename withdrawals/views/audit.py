"""The audit log."""

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from withdrawals.filters import AuditFilter
from withdrawals.models import AuditEntry
from withdrawals.templatetags.desk import ACTION_WORDS
from withdrawals.views.access import DeskRequest, needs
from withdrawals.views.lists import render_list


@require_safe
@needs("see_audit")
def audit_list(request: DeskRequest) -> HttpResponse:
    """GET /audit/: newest first, by text, action, person, door and days."""
    entries = AuditEntry.objects.select_related("actor", "trade", "item").defer("trade__document", "item__document")
    filters = AuditFilter(request.GET, queryset=entries, actions=sorted(ACTION_WORDS.items()))
    return render_list(request, "audit.html", filters, by="number")
