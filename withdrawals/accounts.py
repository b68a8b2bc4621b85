"""How django-allauth is bent to this desk: nobody signs up, and second-factor seeds are sealed."""

import base64
import hashlib
import unicodedata
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.login import record_authentication
from allauth.account.signals import user_logged_in
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added, authenticator_removed
from cryptography.fernet import Fernet
from django.conf import settings
from django.dispatch import Signal, receiver
from django.http import HttpRequest
from django.utils import timezone

from withdrawals.actions.audit import Origin
from withdrawals.actions.people import note_factor_changed, note_logged_in
from withdrawals.models import Source, User


class ClosedSignupAdapter(DefaultAccountAdapter):
    """Accounts are made by `create_agent` alone."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """One counter for an account, however its e-mail is spelt and by whatever host name it is asked for."""
        email = unicodedata.normalize("NFKC", str(credentials.get("email", ""))).casefold().strip()
        return "login:" + hashlib.sha256(email.encode()).hexdigest()

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Without a mailer nothing is sent, and the page that asked for it says the same as ever."""
        if settings.MAILERS:
            super().send_mail(template_prefix, email, context)


class SealedSeedAdapter(DefaultMFAAdapter):
    """Seeds and recovery codes rest encrypted: a stolen database alone opens no account."""

    def encrypt(self, text: str) -> str:
        """Seal `text` with MFA_SEED_KEY."""
        return _seal().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Open what `encrypt` sealed; raises InvalidToken under another key."""
        return _seal().decrypt(encrypted_text.encode()).decode()


def _seal() -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(settings.MFA_SEED_KEY.encode()).digest()))


@receiver(user_logged_in)
def logged_in(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    """Every log-in is an entry: allauth tells of it once all that it asks for was given."""
    methods = [str(each.get("method", "")) for each in get_authentication_records(request, user)]
    origin = Origin(Source.SCREEN, actor=user)
    note_logged_in(person=user, methods=methods, origin=origin, now=timezone.now())


@receiver([authenticator_added, authenticator_removed])
def factor_changed(
    sender: Any, request: HttpRequest, user: User, authenticator: Authenticator, signal: Signal, **_: Any
) -> None:
    """A second factor came or went: the log tells, and a session that just proved a new one has used it.

    allauth offers no other place than its signals.
    """
    added = signal is authenticator_added
    if added and authenticator.type != Authenticator.Type.RECOVERY_CODES:
        record_authentication(request, user, "mfa", type=authenticator.type)
    note_factor_changed(
        person=user,
        factor=str(authenticator.type),
        added=added,
        origin=Origin(Source.SCREEN, actor=request.user if isinstance(request.user, User) else None),
        now=timezone.now(),
    )
