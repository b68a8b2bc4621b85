"""The page behind the alarms: what is wrong, what to do, and what AssetPay says beyond its documents."""

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from withdrawals.models import Alarm, Item, ReadState, Sighting, Trade
from withdrawals.views.access import DeskRequest, needs

SHOWN = 50


@require_safe
@needs("see_desk")
def alarm_list(request: DeskRequest) -> HttpResponse:
    """GET /alarms/: what rings now with its advice, what rang before, changes that only reading told, and sightings."""
    now = timezone.now()
    context = {
        "ringing": list(Alarm.objects.ringing()),
        "past": Alarm.objects.filter(cleared_at__isnull=False).order_by("-cleared_at", "-pk")[:SHOWN],
        "read_state": ReadState.objects.filter(pk=1).first(),
        "read_back": Trade.objects.worth_reading(now).count(),
        "learned": Item.objects.learned_by_reading(now).select_related("trade").order_by("-status_changed_at")[:SHOWN],
        "sightings": Sighting.objects.order_by("-last_seen_at", "pk")[:SHOWN],
        "sighting_count": Sighting.objects.count(),
    }
    return render(request, "alarms.html", context)
