"""How long a session lives, and when its owner last showed who they are. Times are kept in the session itself.

Limits: 15 minutes without use, 10 hours in all, 5 minutes for what asks for a fresh proof (settings).
"""

from datetime import datetime

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase

OPENED, USED, PROVED = "opened_at", "used_at", "proved_at"
# One write a minute, not one for each request; a session may so end up to a minute early, never late.
WRITE_EVERY_SECONDS = 60


def begin_session(session: SessionBase, *, now: datetime) -> None:
    """Somebody has just logged in."""
    session.update({OPENED: now.timestamp(), USED: now.timestamp(), PROVED: now.timestamp()})


def note_proof(session: SessionBase, *, now: datetime) -> None:
    """Its owner has just shown again who they are, by password, passkey or code."""
    session[PROVED] = now.timestamp()


def note_use(session: SessionBase, *, now: datetime) -> None:
    """A person did something; what a page does by itself is no use."""
    if now.timestamp() - session.get(USED, 0) >= WRITE_EVERY_SECONDS:
        session[USED] = now.timestamp()


def has_ended(session: SessionBase, *, now: datetime) -> bool:
    """Whether it was left alone for too long, or has lasted too long. One that never began to count has ended."""
    idle = now.timestamp() - session.get(USED, 0)
    age = now.timestamp() - session.get(OPENED, 0)
    return bool(idle >= settings.SESSION_IDLE_SECONDS or age >= settings.SESSION_COOKIE_AGE)


def proved_recently(session: SessionBase, *, now: datetime) -> bool:
    """Whether its owner showed who they are within the last minutes; a log-in shows it too."""
    return bool(0 <= now.timestamp() - session.get(PROVED, 0) < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT)
