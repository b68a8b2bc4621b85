"""What pages ask by themselves, under one address, so that asking never counts as somebody being at work."""

from django.http import Http404, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from withdrawals.actions.presence import end_presence, mark_presence
from withdrawals.forms import PresenceForm
from withdrawals.models import Item, Trade
from withdrawals.views.access import DeskRequest, needs
from withdrawals.views.fresh import keys_in
from withdrawals.views.worklist import for_versions, presence_words, row_version, who_is_there


@require_safe
@needs("see_desk")
def items_now(request: DeskRequest) -> HttpResponse:
    """GET /live/items/?ids=1,2: of each row on a page, which version of it is current and who else is there."""
    now = timezone.now()
    items = list(for_versions(Item.objects.filter(pk__in=keys_in(request.GET.get("ids", "")))))
    there = who_is_there(items, person=request.user, now=now)
    return JsonResponse(
        {
            str(item.pk): {"version": row_version(item, now), "here": presence_words(there.get(item.pk, []))}
            for item in items
        }
    )


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
