"""Log-in through a company's own provider (OpenID Connect), off while OIDC_ISSUER is empty.

django-allauth goes the way there and back (state, PKCE); what it takes on trust is checked here: the signature, issuer,
audience, time and nonce of the id token, after OpenID Connect Core 1.0, section 3.1.3.7. Who may enter says
`actions.people.admit_by_company`. The second factor stays: the desk asks for its own, whatever the provider asked for.
"""

import hashlib
import secrets
from typing import Any
from urllib.parse import urlsplit

import jwt
import requests
import structlog
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, get_adapter
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialLogin, SocialToken
from allauth.socialaccount.providers.base.constants import AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from allauth.utils import build_absolute_uri
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from withdrawals.actions.audit import Origin
from withdrawals.actions.people import PersonRefused, admit_by_company
from withdrawals.models import Source

log = structlog.get_logger(__name__)

# Signed with the provider's private key; a secret that both sides know proves nothing about who signed.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
CLAIMS = ["iss", "sub", "aud", "exp", "iat", "nonce"]
CLOCKS_DIFFER_BY_SECONDS = 60
# Kept for a while: whoever presses the button must not be able to make us ask the provider every time.
KEPT_SECONDS = 300
NEEDED_PLACES = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class CompanyLogIn(OpenIDConnectOAuth2Adapter):
    """The provider's side: where it is, and what its id tokens are worth."""

    @property
    def openid_config(self) -> dict[str, Any]:
        """What the provider says of itself. Raises OAuth2Error where that cannot be used, RequestException."""
        found: dict[str, Any] | None = cache.get(_kept("configuration"))
        if found is None:
            found = _fetched(self.get_provider().server_url)
            if found.get("issuer") != settings.OIDC_ISSUER:
                raise OAuth2Error("The provider names another issuer.")
            places = [found.get(name) for name in NEEDED_PLACES]
            if not all(isinstance(place, str) and _is_trusted(place) for place in places):
                raise OAuth2Error("The provider names a place that is missing or not HTTPS.")
            if _origin(found["authorization_endpoint"]) != _origin(settings.OIDC_ISSUER):
                raise OAuth2Error("The provider's log-in page is on another host, which our policy would not open.")
            cache.set(_kept("configuration"), found, KEPT_SECONDS)
        return found

    def get_callback_url(self, request: HttpRequest, app: SocialApp) -> str:
        """Our own way back; the library's is closed."""
        return str(build_absolute_uri(request, reverse("company_callback")))

    def complete_login(self, request: HttpRequest, app: SocialApp, token: SocialToken, **kwargs: Any) -> SocialLogin:
        """What the id token says, once it is known to be the provider's and meant for us. Raises OAuth2Error."""
        claims = self._claims(app, kwargs["response"].get("id_token"))
        login = self.get_provider().sociallogin_from_response(request, claims)
        login.claims = claims
        return login

    def _claims(self, app: SocialApp, token: object) -> dict[str, Any]:
        if not isinstance(token, str):
            raise OAuth2Error("The provider sent no id token.")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key(jwt.get_unverified_header(token).get("kid")),
                algorithms=ALGORITHMS,
                issuer=settings.OIDC_ISSUER,
                audience=app.client_id,
                leeway=CLOCKS_DIFFER_BY_SECONDS,
                options={"require": CLAIMS},
            )
        except jwt.PyJWTError as error:
            raise OAuth2Error(f"The id token is not good: {type(error).__name__}.") from error
        if claims.get("azp", app.client_id) != app.client_id:
            raise OAuth2Error("The id token is meant for another client.")
        return claims

    def _key(self, kid: object) -> jwt.PyJWK:
        """The provider's key of that name; asked for anew where we do not know it, for keys are changed."""
        known = cache.get(_kept("keys"))
        if known is not None and (found := _named(known, kid)):
            return found
        document = _fetched(self.openid_config["jwks_uri"])
        cache.set(_kept("keys"), document, KEPT_SECONDS)
        found = _named(document, kid)
        if found is None:
            raise OAuth2Error("The id token names a key that the provider does not have.")
        return found


class CompanyProvider(OpenIDConnectProvider):
    """Our side: what we ask the provider for, and what we keep of its answer."""

    oauth2_adapter_class = CompanyLogIn
    # Where allauth looks for addresses to add under /accounts/; in our own package it would find the whole desk.
    package = OpenIDConnectProvider.get_package()

    def redirect(
        self, request: HttpRequest, process: str, next_url: str | None = None, data: object = None, **_: Any
    ) -> HttpResponse:
        """Send somebody to the provider with a nonce of this try, whatever else the address asked for."""
        nonce = secrets.token_urlsafe(32)
        answer: HttpResponse = super().redirect(
            request, AuthProcess.LOGIN, next_url, auth_params={"nonce": nonce}, nonce=nonce
        )
        return answer

    def extract_uid(self, data: dict[str, Any]) -> str:
        """Who it is: the same subject at another issuer is somebody else."""
        return hashlib.sha256(f"{data['iss']}\n{data['sub']}".encode()).hexdigest()

    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, Any]:
        """Nothing: names, pictures and groups are the provider's to keep."""
        return {}

    def extract_email_addresses(self, data: dict[str, Any]) -> list[Any]:
        """None: an e-mail counts for finding the account, see `pre_social_login`."""
        return []


class KnownPeopleAdapter(DefaultSocialAccountAdapter):
    """Who may enter: people that an admin made, by the e-mail that the provider verified."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """Never."""
        return False

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        """The provider of the settings alone: a row in a table must not be able to add another."""
        return [app for app in super().list_apps(request, provider=provider, client_id=client_id) if app.pk is None]

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Let in by verified e-mail, or raise ImmediateHttpResponse: the same words whatever was wrong."""
        claims, now = sociallogin.claims, timezone.now()
        if not secrets.compare_digest(str(claims["nonce"]), str(sociallogin.state.get("nonce"))):
            self._refuse(request, "nonce")
        email = claims.get("email")
        if claims.get("email_verified") is not True or not isinstance(email, str):
            self._refuse(request, "email not verified")
        account: SocialAccount = sociallogin.account
        try:
            person = admit_by_company(
                provider=account.provider, subject=account.uid, email=email, origin=Origin(Source.SCREEN), now=now
            )
        except PersonRefused as refused:
            self._refuse(request, str(refused))
        sociallogin.user = account.user = person

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: CompanyProvider,
        error: str | None = None,
        exception: Exception | None = None,
        extra_context: dict[str, Any] | None = None,
    ) -> None:
        """One page for whatever failed; what it was is for the log."""
        said = str(exception) if isinstance(exception, OAuth2Error) else type(exception).__name__
        self._refuse(request, f"{error}: {said}"[:200])

    def get_requests_session(self) -> requests.Session:
        """Straight to the provider: no redirects, and no proxy or password from this machine's surroundings."""
        session: requests.Session = super().get_requests_session()
        session.trust_env = False
        session.max_redirects = 0
        return session

    def _refuse(self, request: HttpRequest, reason: str) -> None:
        log.warning("company log-in refused", reason=reason)
        raise ImmediateHttpResponse(refused(request))


def refused(request: HttpRequest) -> HttpResponse:
    """The page of whoever is not let in."""
    return render(request, "account/company_refused.html", status=403)


@require_POST
@never_cache
@login_not_required
def company_login(request: HttpRequest) -> HttpResponse:
    """POST /accounts/oidc/company/login/: to the provider. 404 while there is none."""
    return _answered(request, OAuth2LoginView)


@require_GET
@never_cache
@login_not_required
def company_callback(request: HttpRequest) -> HttpResponse:
    """GET /accounts/oidc/company/login/callback/: back from the provider. 404 while there is none."""
    return _answered(request, OAuth2CallbackView)


def _answered(request: HttpRequest, view: Any) -> HttpResponse:
    if not settings.OIDC_ISSUER:
        raise Http404
    adapter = CompanyLogIn(request, settings.OIDC_PROVIDER_ID)
    try:
        answer: HttpResponse = view.adapter_view(adapter)(request)
    except (OAuth2Error, requests.RequestException, KeyError, ValueError, TypeError) as error:
        # What a provider sends is not ours to trust: an answer of another shape is a refusal, no fault.
        log.warning("company log-in failed", reason=type(error).__name__)
        return refused(request)
    return answer


def _fetched(address: str) -> dict[str, Any]:
    with get_adapter().get_requests_session() as session:
        answer = session.get(address)
        answer.raise_for_status()
        document = answer.json()
    if not isinstance(document, dict):
        raise OAuth2Error("The provider's document is no object.")
    return document


def _named(document: dict[str, Any], kid: object) -> jwt.PyJWK | None:
    """The key of this name in the provider's document; a token without a name takes the only key there is."""
    keys = jwt.PyJWKSet.from_dict(document).keys
    named = [key for key in keys if key.key_id == kid or (kid is None and len(keys) == 1)]
    return named[0] if named else None


def _kept(what: str) -> str:
    return f"oidc:{what}:{hashlib.sha256(settings.OIDC_ISSUER.encode()).hexdigest()}"


def _origin(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    return parts.scheme, parts.netloc


def _is_trusted(address: str) -> bool:
    """HTTPS; on a developer's machine, where the settings let the issuer be without, what is with it there too."""
    return address.startswith("https://") or _origin(address) == _origin(settings.OIDC_ISSUER)
