"""The root of all addresses."""

from django.contrib import admin
from django.urls import include, path

from withdrawals.views.access import not_found

urlpatterns = [
    # Who somebody is in the audit log is not theirs to change.
    path("accounts/email/", not_found),
    # A forgotten password is answered by an operator with a one-time link, not by mail.
    path("accounts/password/reset/", not_found),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("", include("withdrawals.urls")),
]
