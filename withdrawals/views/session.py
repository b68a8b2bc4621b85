"""A session that ended behind an open page."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.utils.http import urlencode
from django_htmx.middleware import HtmxDetails

GetResponse = Callable[[HttpRequest], HttpResponse]


def login_for_htmx(get_response: GetResponse) -> GetResponse:
    """Send the whole page to log-in, where HTMX would swap the log-in page into a cell.

    Stands outside LoginRequiredMiddleware, whose redirect it replaces.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        login = resolve_url(settings.LOGIN_URL)
        sends_to_login = response.headers.get("Location", "").split("?")[0] == login
        if request.headers.get("HX-Request") != "true" or not sends_to_login:
            return response
        page = HtmxDetails(request).current_url_abs_path or "/"
        return HttpResponse(status=401, headers={"HX-Redirect": f"{login}?{urlencode({'next': page})}"})

    return middleware
