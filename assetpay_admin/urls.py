"""The root of all addresses."""

from django.contrib import admin
from django.urls import include, path

from withdrawals.oidc import company_callback, company_login
from withdrawals.views.access import not_found

urlpatterns = [
    # First, since they are asked for most; none of them begins like one below.
    path("", include("withdrawals.urls")),
    # Who somebody is in the audit log is not theirs to change.
    path("accounts/email/", not_found),
    # A forgotten password is answered by an operator with a one-time link, not by mail.
    path("accounts/password/reset/", not_found),
    # People come by invitation, are known by one e-mail, and get a password by link alone.
    path("accounts/signup/", not_found),
    path("accounts/confirm-email/", not_found),
    path("accounts/confirm-email/<str:key>/", not_found),
    path("accounts/login/code/confirm/", not_found),
    path("accounts/password/set/", not_found),
    # The company's own provider, by our door alone: allauth's would let in without a nonce or a signature.
    path("accounts/oidc/company/login/", company_login, name="company_login"),
    path("accounts/oidc/company/login/callback/", company_callback, name="company_callback"),
    path("accounts/oidc/<path:rest>", not_found),
    path("accounts/3rdparty/", not_found),
    path("accounts/3rdparty/<path:rest>", not_found),
    path("accounts/social/<path:rest>", not_found),
    path("accounts/", include("allauth.urls")),
    # Neither counted nor noted, unlike the page of our own.
    path("admin/password_change/", not_found),
    path("admin/", admin.site.urls),
]
