"""Who may see or do what, and how a view speaks of the person behind a request."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, cast

import structlog
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.utils.translation import gettext_lazy
from django_htmx.middleware import HtmxDetails

from withdrawals.actions.audit import Origin
from withdrawals.actions.people import note_access_denied
from withdrawals.models import Counts, Source, User
from withdrawals.sessions import proved_recently

log = logging.getLogger(__name__)

# Of a page that asks for its own address again: the rows on its screen.
LIVE_HEADER = "X-Live"


class DeskRequest(HttpRequest):
    """A request of somebody who is logged in, as the middleware leaves it."""

    user: User  # LoginRequiredMiddleware lets nobody else in
    htmx: HtmxDetails
    counts: Counts  # what a page has counted, for the rail around it
    is_kept: bool  # whether its page is made to be kept as text
    made: Any  # the page as text, where it is the same for everybody who may do the same


class SeeOther(HttpResponseRedirect):
    """303: what follows a form is read, not sent again."""

    status_code = 303


def asks_for_itself(request: Any) -> bool:
    """Whether a page asks by itself, not a person for a page."""
    return LIVE_HEADER in request.headers


def needs[**P](
    codename: str,
) -> Callable[
    [Callable[Concatenate[DeskRequest, P], HttpResponseBase]], Callable[Concatenate[HttpRequest, P], HttpResponseBase]
]:
    """Let in whoever's role grants `codename`; everybody else gets the 403 page, which names the roles that can.

    What is refused, here or in the view itself, is an entry of the audit log.
    """

    def decorate(
        view: Callable[Concatenate[DeskRequest, P], HttpResponseBase],
    ) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
        @wraps(view)
        def checked(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            of_person = cast(DeskRequest, request)
            try:
                require(of_person.user, codename)
                return view(of_person, *args, **kwargs)
            except PermissionDenied as denied:
                _note_denied(of_person, str(denied))
                raise

        return checked

    return decorate


def require(person: User, codename: str) -> None:
    """Raises PermissionDenied, whose text is what the 403 page names the roles by."""
    if not person.may(codename):
        raise PermissionDenied(codename)


def _note_denied(request: DeskRequest, codename: str) -> None:
    try:
        note_access_denied(
            permission=codename,
            method=request.method or "",
            path=request.path,
            origin=screen_origin(request),
            now=timezone.now(),
        )
    except DatabaseError:
        # It stays refused, whatever becomes of the entry.
        log.exception("an access that was denied could not be noted")


# Where a session keeps what somebody had typed while they are asked who they are.
TYPED = "typed_before_proof"


def needs_recent_proof[**P](
    back: str = "", *, keeps: tuple[str, ...] = ()
) -> Callable[
    [Callable[Concatenate[DeskRequest, P], HttpResponse]], Callable[Concatenate[DeskRequest, P], HttpResponse]
]:
    """Let in who showed within the last minutes who they are; everybody else is asked to, and comes back.

    `back` names the view to come back to, with the same arguments, where this one takes no GET. What was typed into the
    fields that `keeps` names waits for `typed_before`; what was seen is to be looked at again. Stands under `needs`.
    """

    def decorate(
        view: Callable[Concatenate[DeskRequest, P], HttpResponse],
    ) -> Callable[Concatenate[DeskRequest, P], HttpResponse]:
        @wraps(view)
        def checked(request: DeskRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if proved_recently(request.session, now=timezone.now()):
                return view(request, *args, **kwargs)
            if request.method == "POST":
                typed = {name: request.POST[name][:500] for name in keeps if request.POST.get(name)}
                request.session[TYPED] = {"path": request.path, "fields": typed}
                messages.warning(request, NOT_YET)
            target = reverse(back, kwargs=kwargs) if back else request.path
            page = safe_next(request, "")
            target = f"{target}?{urlencode({'next': page})}" if page else target
            # HTMX is sent there with the whole page: `middleware.login_for_htmx`.
            return HttpResponseRedirect(f"{reverse('account_reauthenticate')}?{urlencode({'next': target})}")

        return checked

    return decorate


NOT_YET = gettext_lazy("Nothing has been done yet. Show who you are: then look again, and send it again.")


def typed_before(request: DeskRequest) -> dict[str, str]:
    """What its owner had typed here when they were asked who they are; told once, and only on that same page."""
    kept: dict[str, Any] = request.session.pop(TYPED, {})
    return dict(kept["fields"]) if kept.get("path") == request.path else {}


def not_found(request: HttpRequest, **_: str) -> HttpResponse:
    """An address that a library brings along and this desk does not offer."""
    raise Http404


def screen_origin(request: DeskRequest) -> Origin:
    """How the audit log names what this request does; the request id is the one that the logs carry."""
    request_id = structlog.contextvars.get_contextvars().get("request_id", "")
    return Origin(Source.SCREEN, actor=request.user, request_id=str(request_id))


def way_back(request: HttpRequest) -> str:
    """The page that a form on it comes back to, without JavaScript too."""
    htmx = getattr(request, "htmx", None)
    if htmx and htmx.current_url_abs_path:
        return str(htmx.current_url_abs_path)
    return request.POST.get("next", "") or request.get_full_path()


def safe_next(request: HttpRequest, default: str) -> str:
    """Where to go after a form: the page that it named, if it is one of ours, else `default`."""
    target = request.POST.get("next", "") or request.GET.get("next", "")
    is_ours = target.startswith("/") and url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return target if is_ours else default
