"""How django-allauth is bent to this desk: nobody signs up, and second-factor seeds are sealed."""

import base64
import hashlib
import unicodedata
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.fernet import Fernet
from django.conf import settings
from django.http import HttpRequest


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
