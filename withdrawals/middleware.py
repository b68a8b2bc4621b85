"""What stands before every view."""

import re
from collections.abc import Callable
from http import HTTPStatus

import structlog
from allauth.account.authentication import get_authentication_records
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user, logout
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django.utils.crypto import constant_time_compare
from django.utils.http import urlencode
from django.utils.translation import get_language_from_request
from django_htmx.middleware import HtmxDetails
from django_structlog.middlewares import RequestMiddleware

from withdrawals.models import User
from withdrawals.sessions import has_ended, note_use

CALLBACK_PATH = "/callbacks/"
# What machines ask for has no language.
MACHINE_PATHS = (CALLBACK_PATH, "/health/", "/metrics")
DECIDED_HEADER = "X-Desk-Decided"
# Addresses that no person asks for: pages do, by themselves.
BACKGROUND_PATH = re.compile(r"/now/|/live/.*|/items/\d+/row/")
# Whoever reads one in a log could set the password of its account until it is used.
ONE_TIME_LINK = re.compile(r"/key/.*")
# What `static/js/refresh.js` adds to a request that nobody's hand made.
BACKGROUND_HEADER = "X-Background"
# What SecurityMiddleware adds, which stands inside of the door.
BARE_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
GetResponse = Callable[[HttpRequest], HttpResponse]


class RequestLog(RequestMiddleware):
    """One line of the log for each request, without what opens an account or names a customer.

    None for an open page that asks whether anything changed and hears no: a hundred of them ask twenty times a second.
    """

    def prepare(self, request: HttpRequest) -> None:
        """Also put where the call came from on the request."""
        request.client_address = client_address(request)  # type: ignore[attr-defined] # for the callbacks' door
        super().prepare(request)

    def handle_response(self, request: HttpRequest, response: HttpResponse) -> None:
        """The line."""
        if response.status_code == HTTPStatus.NOT_MODIFIED:
            structlog.contextvars.clear_contextvars()
        else:
            super().handle_response(request, response)

    @classmethod
    def bind_ip(cls, request: HttpRequest) -> None:
        """Only what our own proxies vouch for: anybody may write the rest of that header."""
        structlog.contextvars.bind_contextvars(ip=request.client_address)  # type: ignore[attr-defined] # as above

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        """Method and path: no query, which may hold a pasted trade link or a provider's code, and no one-time link."""
        return f"{request.method} {ONE_TIME_LINK.sub('/key/...', request.path)}"


def client_address(request: HttpRequest) -> str:
    """Where the call came from, as far as our own proxies vouch for it."""
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    trusted: int = settings.TRUSTED_PROXY_COUNT
    if trusted and len(hops) >= trusted:
        return hops[-trusted][:64]
    return str(request.META.get("REMOTE_ADDR", ""))[:64]


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
            return HttpResponse(status=503, headers=BARE_HEADERS)
        # What a proxy must see before it passes an answer on: a stranger on our port does not know it.
        response.headers[DECIDED_HEADER] = "yes"
        return response

    return middleware


def readable_requests(get_response: GetResponse) -> GetResponse:
    """What would be a fault of ours further in is a bad request here. Bodies are read by forms, which refuse it."""

    def middleware(request: HttpRequest) -> HttpResponse:
        # PostgreSQL takes no text with a zero byte.
        query = request.META.get("QUERY_STRING", "")
        if "%00" in query or "\x00" in query:
            raise BadRequest("The query holds a zero byte.")
        if "\x00" in request.COOKIES.get(settings.SESSION_COOKIE_NAME, ""):
            # No session, rather than a browser that is shut out until somebody empties it.
            del request.COOKIES[settings.SESSION_COOKIE_NAME]
        try:
            _ = HtmxDetails(request).current_url_abs_path
        except ValueError as error:
            raise BadRequest("The page that asks has no readable address.") from error
        return get_response(request)

    return middleware


class WhoAsks(AuthenticationMiddleware):
    """Who asks, read from the database with every request, with the session where it is known by whom it was used.

    It says yes only where Django would; whatever else a session holds, Django itself decides.
    """

    def process_request(self, request: HttpRequest) -> None:
        """Put the person, or nobody, on the request."""
        super().process_request(request)
        # At once: the language of each answer asks for it anyway, and whatever stands in between costs at each use.
        request.user = _person(request)


def _person(request: HttpRequest) -> User | AnonymousUser:
    session = request.session
    key, signature = str(session.get(SESSION_KEY, "")), str(session.get(HASH_SESSION_KEY, ""))
    if session.get(BACKEND_SESSION_KEY) in settings.AUTHENTICATION_BACKENDS and key.isdecimal():
        # `SessionStore` of `withdrawals/accounts.py`.
        person: User | None = session.person(int(key))  # type: ignore[attr-defined]
        if person and person.is_active and constant_time_compare(signature, person.get_session_auth_hash()):
            return person
    return get_user(request)


def session_limits(get_response: GetResponse) -> GetResponse:
    """End a session that was left alone, or has lasted, for too long. What a page does by itself is no use of it."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            now = timezone.now()
            if has_ended(request.session, now=now):
                logout(request)
            elif not _is_background(request):
                note_use(request.session, now=now)
        return get_response(request)

    return middleware


def login_for_htmx(get_response: GetResponse) -> GetResponse:
    """Send the whole page to log-in, where HTMX would swap the log-in page into a cell. Outside the log-in check.

    The same for the pages that ask for a second factor, or for a fresh proof of who somebody is.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        target = response.headers.get("Location", "")
        if request.headers.get("HX-Request") != "true" or not target.startswith("/accounts/"):
            return response
        login = resolve_url(settings.LOGIN_URL)
        if target.split("?")[0] == login:
            page = HtmxDetails(request).current_url_abs_path or "/"
            target = f"{login}?{urlencode({'next': page})}"
        return HttpResponse(status=401, headers={"HX-Redirect": target})

    return middleware


def language_and_zone(get_response: GetResponse) -> GetResponse:
    """Words and times as whoever asks has chosen them; else as their browser asks for, and in UTC."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(MACHINE_PATHS):
            return get_response(request)
        person = request.user if isinstance(request.user, User) else None
        chosen = person.language if person and person.language in dict(settings.LANGUAGES) else ""
        language = chosen or get_language_from_request(request)
        with translation.override(language), timezone.override(person.zone if person else None):
            response = get_response(request)
        response.headers.setdefault("Content-Language", language)
        patch_vary_headers(response, ["Accept-Language"])
        return response

    return middleware


def staff_pages(get_response: GetResponse) -> GetResponse:
    """Pages for people: never kept by a cache, and with MFA_REQUIRED closed until a second factor was given."""

    def middleware(request: HttpRequest) -> HttpResponse:
        has_to = settings.MFA_REQUIRED and request.user.is_authenticated and _is_desk(request)
        request.used_second_factor = has_to and _used_mfa(request)  # type: ignore[attr-defined] # for the page's frame
        if has_to and not request.used_second_factor:  # type: ignore[attr-defined] # as above
            factors = Authenticator.objects.filter(user=request.user.pk).exclude(type="recovery_codes")
            has_factor = factors.exists()
            return HttpResponseRedirect(reverse("mfa_reauthenticate" if has_factor else "mfa_index"))
        response = get_response(request)
        if not request.path_info.startswith((settings.STATIC_URL, CALLBACK_PATH)):
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    return middleware


def _is_background(request: HttpRequest) -> bool:
    return BACKGROUND_HEADER in request.headers or BACKGROUND_PATH.fullmatch(request.path_info) is not None


def _is_desk(request: HttpRequest) -> bool:
    return not request.path_info.startswith(("/accounts/", CALLBACK_PATH, "/health/", "/metrics", settings.STATIC_URL))


def _used_mfa(request: HttpRequest) -> bool:
    """Whether this very session gave a second factor; that its owner has set one up since says nothing of it."""
    records = get_authentication_records(request, request.user)
    return any(record.get("method") == "mfa" for record in records)
