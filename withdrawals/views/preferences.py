"""What whoever is logged in reads in: their language and their time zone."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from withdrawals.actions.preferences import choose_language
from withdrawals.filters import ZONES
from withdrawals.forms import LanguageForm
from withdrawals.views.access import DeskRequest, SeeOther, needs, screen_origin


@require_http_methods(["GET", "HEAD", "POST"])
@needs("see_desk")
def preferences(request: DeskRequest) -> HttpResponse:
    """GET, POST /preferences/: language and time zone of oneself; 422 where one of them is not known here."""
    now = timezone.now()
    chosen = {"language": request.user.language, "time_zone": request.user.time_zone}
    form = LanguageForm(request.POST or None, initial=chosen)
    if request.method == "POST" and form.is_valid():
        choose_language(actor=request.user, **form.cleaned_data, origin=screen_origin(request), now=now)
        with translation.override(form.cleaned_data["language"] or translation.get_language()):
            messages.success(request, gettext("Kept. It holds from this page on."))
        return SeeOther(reverse("preferences"))
    status = 422 if request.method == "POST" else 200
    return render(request, "preferences.html", {"form": form, "zones": ZONES}, status=status)
