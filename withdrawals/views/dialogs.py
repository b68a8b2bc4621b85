"""A dialog: a fragment for a page that runs HTMX, else a page of its own on which it stands open."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from withdrawals.views.access import DeskRequest


def dialog_answer(
    request: DeskRequest, template: str, partial: str, context: dict[str, Any], *, status: int
) -> HttpResponse:
    """The dialog `partial` of `template`, wherever the form that asked for it aims at."""
    response = render(request, f"{template}#{partial}" if request.htmx else template, context, status=status)
    if request.htmx:
        # A form that is wrong comes back into the dialog, not into the row that the form aims at.
        response.headers["HX-Retarget"], response.headers["HX-Reswap"] = "#dialog-slot", "innerHTML"
    return response
