"""What pages ask by themselves, under one address, so that asking never counts as somebody being at work."""

from django.http import Http404, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST

from withdrawals.actions.presence import end_presence, mark_presence
from withdrawals.forms import PresenceForm
from withdrawals.models import Item, Trade
from withdrawals.views.access import DeskRequest, needs


@require_POST
@needs("see_desk")
def presence(request: DeskRequest) -> HttpResponse:
    """POST /live/presence/: this person has an `item` or a `trade` open, or (`gone`) has closed it."""
    now = timezone.now()
    form = PresenceForm(request.POST)
    if not form.is_valid():
        return HttpResponse(status=422)
    item_id, trade_id = form.cleaned_data["item"], form.cleaned_data["trade"]
    if form.cleaned_data["gone"]:
        end_presence(actor=request.user, item_id=item_id, trade_id=trade_id)
        return HttpResponse(status=204)
    try:
        mark_presence(actor=request.user, item_id=item_id, trade_id=trade_id, now=now)
    except (Item.DoesNotExist, Trade.DoesNotExist) as error:
        raise Http404("Nothing to be present at.") from error
    return HttpResponse(status=204)
