"""What stands before every view."""

from collections.abc import Callable

from allauth.account.authentication import get_authentication_records
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.http import urlencode
from django_htmx.middleware import HtmxDetails

CALLBACK_PATH = "/callbacks/"
DECIDED_HEADER = "X-Desk-Decided"
GetResponse = Callable[[HttpRequest], HttpResponse]


def callback_door(get_response: GetResponse) -> GetResponse:
    """Outermost: no answer of the framework's own (a bad host, a bad request, a fault) leaves on the callback path.

    On an approval a 2xx releases money and a 4xx rejects the withdrawal for good, so whatever the view itself did
    not decide is 503. The view marks its own answers.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        path = request.path_info.lower().replace("//", "/")
        if not path.startswith(CALLBACK_PATH):
            return response
        if not getattr(response, "is_decided", False):
            return HttpResponse(status=503)
        # What a proxy must see before it passes an answer on: a stranger on our port does not know it.
        response.headers[DECIDED_HEADER] = "yes"
        return response

    return middleware


def login_for_htmx(get_response: GetResponse) -> GetResponse:
    """Send the whole page to log-in, where HTMX would swap the log-in page into a cell. Outside the log-in check."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        login = resolve_url(settings.LOGIN_URL)
        sends_to_login = response.headers.get("Location", "").split("?")[0] == login
        if request.headers.get("HX-Request") != "true" or not sends_to_login:
            return response
        page = HtmxDetails(request).current_url_abs_path or "/"
        return HttpResponse(status=401, headers={"HX-Redirect": f"{login}?{urlencode({'next': page})}"})

    return middleware


def staff_pages(get_response: GetResponse) -> GetResponse:
    """Pages for people: never kept by a cache, and with MFA_REQUIRED closed until a second factor was given."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if settings.MFA_REQUIRED and request.user.is_authenticated and _is_desk(request) and not _used_mfa(request):
            factors = Authenticator.objects.filter(user=request.user.pk).exclude(type="recovery_codes")
            has_factor = factors.exists()
            return HttpResponseRedirect(reverse("mfa_reauthenticate" if has_factor else "mfa_index"))
        response = get_response(request)
        if not request.path_info.startswith((settings.STATIC_URL, CALLBACK_PATH)):
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    return middleware


def _is_desk(request: HttpRequest) -> bool:
    return not request.path_info.startswith(("/accounts/", CALLBACK_PATH, "/health/", "/metrics", settings.STATIC_URL))


def _used_mfa(request: HttpRequest) -> bool:
    """Whether this very session gave a second factor; that its owner has set one up since says nothing of it."""
    records = get_authentication_records(request, request.user)
    return any(record.get("method") == "mfa" for record in records)
