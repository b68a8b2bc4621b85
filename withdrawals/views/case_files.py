"""An item's whole story in one click: as a page to print, as JSON, and as a short text for the customer."""

import json

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_safe

from withdrawals.actions.exports import note_case_file
from withdrawals.models import Item
from withdrawals.models.case_file import Json
from withdrawals.models.case_file import case_file as make_case_file
from withdrawals.models.customer_text import customer_text as make_customer_text
from withdrawals.models.words import as_kept
from withdrawals.views.access import DeskRequest, needs, screen_origin


@require_GET
@needs("export_rows")
def case_file(request: DeskRequest, pk: int) -> HttpResponse:
    """GET /items/<pk>/case/: the story as a page to print. An entry in the log, with the file's hash."""
    item = _item(pk)
    case = _made(request, item)
    with as_kept():
        text = make_customer_text(item)
    return render(request, "case_file.html", {"item": item, "case": case, "text": text})


@require_GET
@needs("export_rows")
def case_file_json(request: DeskRequest, pk: int) -> HttpResponse:
    """GET /items/<pk>/case.json: the same as a file that `scripts/verify_case.py` verifies. An entry in the log."""
    item = _item(pk)
    body = json.dumps(_made(request, item), indent=1, sort_keys=True)
    name = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in item.assetpay_id)[:64]
    headers = {"Content-Disposition": f'attachment; filename="case-{name}.json"'}
    return HttpResponse(body, content_type="application/json", headers=headers)


@require_safe
@needs("see_desk")
def customer_text(request: DeskRequest, pk: int) -> HttpResponse:
    """GET /items/<pk>/customer-text/: what the customer may be told, to copy into a chat."""
    item = _item(pk)
    return render(request, "customer_text.html", {"item": item, "text": make_customer_text(item)})


def _item(pk: int) -> Item:
    return get_object_or_404(Item.objects.select_related("trade"), pk=pk)


def _made(request: DeskRequest, item: Item) -> Json:
    now = timezone.now()
    case = make_case_file(item, made_by=request.user.email, now=now)
    note_case_file(item=item, sha256=case["sha256"], origin=screen_origin(request), now=now)
    return case
