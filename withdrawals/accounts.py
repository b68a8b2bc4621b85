"""How django-allauth is bent to this desk: nobody signs up, guesses are counted by account, all is noted.

And how sessions are read, which is what `SESSION_ENGINE` looks for here.
"""

import base64
import hashlib
import unicodedata
from typing import Any

import structlog
from allauth.account.adapter import DefaultAccountAdapter, get_adapter
from allauth.account.authentication import get_authentication_records
from allauth.account.forms import ChangePasswordForm
from allauth.account.internal.flows.login import record_authentication
from allauth.account.signals import authentication_step_completed, password_changed, password_reset, password_set
from allauth.account.signals import user_logged_in as fully_logged_in
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added, authenticator_removed
from cryptography.fernet import Fernet
from django.conf import settings
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessions
from django.dispatch import Signal, receiver
from django.http import HttpRequest
from django.utils import timezone

from withdrawals.actions.audit import Origin
from withdrawals.actions.people import note_factor_changed, note_logged_in, note_password_changed
from withdrawals.models import Source, User
from withdrawals.models.known_person import read_person, read_person_and_session, read_session
from withdrawals.sessions import begin_session, note_proof


class ClosedSignupAdapter(DefaultAccountAdapter):
    """Accounts are made by `create_agent` alone."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """One counter for an account, however its e-mail is spelt and by whatever host name it is asked for."""
        return "login:" + hashlib.sha256(plain_spelling(str(credentials.get("email", ""))).encode()).hexdigest()

    def reauthenticate(self, user: User, password: str) -> bool:
        """Whether this is the person's password; a wrong one counts as a guess at log-in does.

        allauth would look the e-mail up in a table that this desk does not keep.
        """
        return bool(self.authenticate(context.request, email=user.email, password=password) == user)

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


class OwnPasswordForm(ChangePasswordForm):
    """A new password for oneself; the old one is asked for, and a wrong one counts as a guess at log-in does."""

    def clean_oldpassword(self) -> str:
        """The old password."""
        password: str = self.cleaned_data["oldpassword"]
        if not get_adapter().reauthenticate(self.user, password):
            raise get_adapter().validation_error("enter_current_password")
        return password


def plain_spelling(email: str) -> str:
    """An e-mail without what merely looks different: case, width, accents, blanks and signs that nobody sees."""
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", email).casefold())
    return "".join(sign for sign in decomposed if unicodedata.category(sign)[0] not in "MZC")


def _seal() -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(settings.MFA_SEED_KEY.encode()).digest()))


# allauth and Django tell of what follows by their signals alone.


@receiver(fully_logged_in)
def entered(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    """Every log-in is an entry: allauth tells of it once all that it asks for was given."""
    methods = [str(each.get("method", "")) for each in get_authentication_records(request, user)]
    origin = Origin(Source.SCREEN, actor=user)
    note_logged_in(person=user, methods=methods, origin=origin, now=timezone.now())


@receiver(user_logged_in)
def logged_in(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    """A session begins to count its time."""
    begin_session(request.session, now=timezone.now())


@receiver(authentication_step_completed)
def proved(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    """Whoever is logged in has just shown again who they are, and gets a new session key. At log-in nobody is yet."""
    if request.user == user:
        request.session.cycle_key()
        note_proof(request.session, now=timezone.now())


@receiver([authenticator_added, authenticator_removed])
def factor_changed(
    sender: Any, request: HttpRequest, user: User, authenticator: Authenticator, signal: Signal, **_: Any
) -> None:
    """A second factor came or went: other sessions end, the log tells, and who just proved a new one has used it."""
    added = signal is authenticator_added
    if added and authenticator.type != Authenticator.Type.RECOVERY_CODES:
        record_authentication(request, user, "mfa", type=authenticator.type)
    note_factor_changed(
        person=user, factor=str(authenticator.type), added=added, origin=_by(request), now=timezone.now()
    )
    if request.user == user:
        user.refresh_from_db(fields=["session_epoch"])
        update_session_auth_hash(request, user)


@receiver([password_changed, password_set, password_reset])
def new_password(sender: Any, request: HttpRequest, user: User, signal: Signal, **_: Any) -> None:
    """Somebody chose a new password. Django ends every other session of theirs."""
    by_link = signal is password_reset
    origin = Origin(Source.SCREEN, actor=user) if by_link else _by(request)
    note_password_changed(person=user, by_link=by_link, origin=origin, now=timezone.now())


def _by(request: HttpRequest) -> Origin:
    request_id = str(structlog.contextvars.get_contextvars().get("request_id", ""))
    actor = request.user if isinstance(request.user, User) else None
    return Origin(Source.SCREEN, actor=actor, request_id=request_id)


# Whose each session was when it was last used in this process: no more than whom to read along with it.
OWNERS: dict[str, int] = {}
MOST_OWNERS = 10_000


class SessionStore(DatabaseSessions):
    """Django's sessions in the database, read by a statement that is written once, with whoever used it last.

    Only what a session holds says whose it is, once its signature has been checked. But that hardly ever changes: from
    its second use on, who used it is read in the same statement, and is taken where the session names just them.
    """

    _read_along: User | None = None

    def load(self) -> dict[str, Any]:
        """What the session holds; empty where it has ended, or there is none of this name."""
        key, now = str(self.session_key), timezone.now()
        kept = None
        if owner := OWNERS.get(key):
            self._read_along, kept = read_person_and_session(owner, key=key, now=now)
        if self._read_along is None:
            kept = read_session(key, now=now)
        if kept is None:
            self._session_key = self._read_along = None
            return {}
        held: dict[str, Any] = self.decode(kept)
        return held

    def person(self, pk: int) -> User | None:
        """The person with this key, as the database had them when this session was read, or has them now."""
        person, self._read_along = self._read_along, None
        if person is None or person.pk != pk:
            person = read_person(pk)
        if person and self.session_key:
            if len(OWNERS) >= MOST_OWNERS:
                OWNERS.clear()
            OWNERS[self.session_key] = pk
        return person
