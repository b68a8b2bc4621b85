"""Who works here, and as what. Each step asks for a fresh proof of who takes it, and is in the log."""

from collections.abc import Callable

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from withdrawals.actions.people import (
    PersonRefused,
    change_role,
    create_person,
    end_sessions,
    one_time_path,
    renew_access,
    reset_factor,
    switch_off,
    switch_on,
)
from withdrawals.forms import InviteForm, RoleForm
from withdrawals.models import Role, User
from withdrawals.views.access import DeskRequest, SeeOther, needs, needs_recent_proof, screen_origin


@require_safe
@needs("manage_people")
def person_list(request: DeskRequest) -> HttpResponse:
    """GET /people/: everybody, open accounts first."""
    return _list(request, InviteForm(), status=200)


@require_POST
@needs("manage_people")
@needs_recent_proof(back="person_list")
def person_invite(request: DeskRequest) -> HttpResponse:
    """POST /people/invite/: a new person; the answer shows their one-time link, this once. 409 where refused."""
    now = timezone.now()
    form = InviteForm(request.POST)
    if not form.is_valid():
        return _list(request, form, status=422)
    try:
        person = create_person(
            email=form.cleaned_data["email"],
            role=Role(form.cleaned_data["role"]),
            password=None,
            origin=screen_origin(request),
            now=now,
        )
    except PersonRefused as refused:
        return _list(request, form, status=409, problem=str(refused))
    return _show(request, person.pk, link=_address(one_time_path(person)))


@require_safe
@needs("manage_people")
def person_detail(request: DeskRequest, pk: int) -> HttpResponse:
    """GET /people/<pk>/: one person, and what can be done about their account."""
    return _show(request, pk)


@require_POST
@needs("manage_people")
@needs_recent_proof(back="person_detail")
def person_role(request: DeskRequest, pk: int) -> HttpResponse:
    """POST /people/<pk>/role/: another role, from their next request on."""
    now = timezone.now()
    form = RoleForm(request.POST)
    if not form.is_valid():
        return _show(request, pk, status=422, problem=gettext("There is no such role. Nothing was changed."))
    role = Role(form.cleaned_data["role"])
    return _do(
        request,
        pk,
        lambda: change_role(person_id=pk, role=role, actor=request.user, origin=screen_origin(request), now=now),
        done=gettext("Role changed: {role}.").format(role=role.label.lower()),
    )


@require_POST
@needs("manage_people")
@needs_recent_proof(back="person_detail")
def person_off(request: DeskRequest, pk: int) -> HttpResponse:
    """POST /people/<pk>/off/: close the account and end its sessions."""
    now = timezone.now()
    return _do(
        request,
        pk,
        lambda: switch_off(person_id=pk, actor=request.user, origin=screen_origin(request), now=now),
        done=gettext("Switched off. Every session of theirs has ended."),
    )


@require_POST
@needs("manage_people")
@needs_recent_proof(back="person_detail")
def person_on(request: DeskRequest, pk: int) -> HttpResponse:
    """POST /people/<pk>/on/: open a closed account again."""
    now = timezone.now()
    return _do(
        request,
        pk,
        lambda: switch_on(person_id=pk, actor=request.user, origin=screen_origin(request), now=now),
        done=gettext("Switched on. The old password is gone: make a one-time link."),
    )


@require_POST
@needs("manage_people")
@needs_recent_proof(back="person_detail")
def person_end_sessions(request: DeskRequest, pk: int) -> HttpResponse:
    """POST /people/<pk>/end-sessions/: log them out everywhere, at the next request of each session."""
    now = timezone.now()
    return _do(
        request,
        pk,
        lambda: end_sessions(person_id=pk, actor=request.user, origin=screen_origin(request), now=now),
        done=gettext("Every session of theirs has ended."),
    )


@require_POST
@needs("manage_people")
@needs_recent_proof(back="person_detail")
def person_reset_factor(request: DeskRequest, pk: int) -> HttpResponse:
    """POST /people/<pk>/reset-factor/: forget their second factors; the desk asks for a new one before it opens."""
    now = timezone.now()
    return _do(
        request,
        pk,
        lambda: reset_factor(person_id=pk, actor=request.user, origin=screen_origin(request), now=now),
        done=gettext("Second factor forgotten. They set up a new one at their next log-in."),
    )


@require_POST
@needs("manage_people")
@needs_recent_proof(back="person_detail")
def person_link(request: DeskRequest, pk: int) -> HttpResponse:
    """POST /people/<pk>/link/: a one-time link to set a password; the answer shows it, this once."""
    now = timezone.now()
    person = get_object_or_404(User, pk=pk)
    try:
        path = renew_access(email=person.email, forget_factors=False, origin=screen_origin(request), now=now)
    except PersonRefused as refused:
        return _show(request, pk, status=409, problem=str(refused))
    return _show(request, pk, link=_address(path))


def _do(request: DeskRequest, pk: int, act: Callable[[], User], *, done: str) -> HttpResponse:
    get_object_or_404(User, pk=pk)
    try:
        person = act()
    except PersonRefused as refused:
        return _show(request, pk, status=409, problem=str(refused))
    messages.success(request, f"{person.email}: {done}")
    return SeeOther(reverse("person_detail", kwargs={"pk": pk}))


def _list(request: DeskRequest, form: InviteForm, *, status: int, problem: str = "") -> HttpResponse:
    people = User.objects.people().order_by("-is_active", "email")
    return render(request, "people.html", {"people": people, "form": form, "problem": problem}, status=status)


def _show(request: DeskRequest, pk: int, *, status: int = 200, problem: str = "", link: str = "") -> HttpResponse:
    person = get_object_or_404(User.objects.people(), pk=pk)
    role = next(iter(person.role_names), Role.AGENT)
    context = {
        "person": person,
        "form": RoleForm(initial={"role": role}),
        "is_self": person.pk == request.user.pk,
        "problem": problem,
        "link": link,
        "hours": settings.PASSWORD_RESET_TIMEOUT // 3600,
    }
    return render(request, "person.html", context, status=status)


def _address(path: str) -> str:
    return f"{settings.DESK_ORIGIN}{path}"
