"""One box for whatever was pasted."""

import re
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from withdrawals.forms import FindForm
from withdrawals.models import Delivery, Item, Trade
from withdrawals.models.pasted import Pasted, read_pasted
from withdrawals.views.access import DeskRequest, SeeOther, needs

# So many are looked at to tell one hit from several, and to say which ids led to nothing.
LOOKED_AT = 200
OWN_PAGE = re.compile(r"/(?:trades|deliveries)/\d{1,18}/(?=$|[?#])")
# What certainly is an id of AssetPay or Steam, so that its absence is worth a word.
SURE_ID = re.compile(r"[0-9a-f]{24}|7656119\d{10}")


@require_http_methods(["GET", "HEAD", "POST"])
@needs("see_desk")
def search(request: DeskRequest) -> HttpResponse:
    """/search/: go to the one thing that `q` names, to the list of several, or say what was tried.

    The box posts, so that the token of a pasted trade link stands in no address and no log; it changes nothing.
    """
    form = FindForm(request.POST if request.method == "POST" else request.GET)
    if not form.is_valid():
        return render(request, "search.html", {"is_unreadable": True}, status=400)
    text = form.cleaned_data["q"].strip()
    address = _address_of(request, text) if text else ""
    if address:
        return SeeOther(address)
    pasted = read_pasted(text)
    return render(request, "search.html", {"pasted": pasted.name, "tried": pasted, "is_empty": not text})


def _address_of(request: DeskRequest, text: str) -> str:
    own = OWN_PAGE.match(text.removeprefix(f"{request.scheme}://{request.get_host()}"))
    if own:
        return own[0]
    pasted = read_pasted(text)
    items, _ = Item.objects.search(text)
    rows = list(items.select_related("trade").order_by("-opened_at", "-pk")[:LOOKED_AT])
    if not rows:
        return _address_without_items(pasted)
    _name_the_missing(request, rows, pasted)
    if len(rows) == 1:
        return f"{reverse('trade_detail', args=[rows[0].trade_id])}#item-{rows[0].pk}"
    if len({item.trade_id for item in rows}) == 1:
        return reverse("trade_detail", args=[rows[0].trade_id])
    query = " ".join(_known_ids(rows, pasted)) or pasted.name
    return f"{reverse('item_list')}?{urlencode({'tab': 'all', 'q': query})}"


def _address_without_items(pasted: Pasted) -> str:
    trades = list(Trade.objects.with_ids(pasted.ids).order_by("-opened_at", "-pk")[:LOOKED_AT])
    if len(trades) == 1:
        return reverse("trade_detail", args=[trades[0].pk])
    if trades:
        query = " ".join(each for each in pasted.ids if any(each in _ids_of_trade(trade) for trade in trades))
        return f"{reverse('trade_list')}?{urlencode({'q': query})}"
    deliveries = list(Delivery.objects.filter(delivery_id__in=pasted.ids)[:2])
    if len(deliveries) == 1:
        return reverse("delivery_detail", args=[deliveries[0].pk])
    return f"{reverse('delivery_list')}?{urlencode({'q': deliveries[0].delivery_id})}" if deliveries else ""


def _known_ids(items: list[Item], pasted: Pasted) -> list[str]:
    known: set[str] = set()
    for item in items:
        known |= {item.assetpay_id.lower(), item.external_id or "", item.asset_id or "", *_ids_of_trade(item.trade)}
    return [each for each in pasted.ids if each in known or each.lower() in known]


def _ids_of_trade(trade: Trade) -> set[str]:
    of_trade = (trade.external_id, trade.offer_id, trade.client_steam_id, trade.client_user_id)
    return {each or "" for each in (trade.assetpay_id.lower(), trade.external_client_user_id, *of_trade)}


def _name_the_missing(request: DeskRequest, items: list[Item], pasted: Pasted) -> None:
    known = _known_ids(items, pasted)
    if known and len(items) < LOOKED_AT:
        sure = [each for each in pasted.ids if SURE_ID.fullmatch(each.lower()) and each not in known]
        missing = [each for each in sure if not Trade.objects.with_ids([each]).exists()]
        if missing:
            messages.warning(
                request, gettext("Not known to this desk: {missing}.").format(missing=", ".join(missing[:5]))
            )
