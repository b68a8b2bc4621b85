"""Who somebody is, what they may do, and what a session holds: asked for with every request, so never kept.

All of it comes in one statement where it is known who used the session last.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import OuterRef, QuerySet, StringAgg, Subquery, Value
from django.db.models.functions import Concat

from withdrawals.models.prepared import rows_of
from withdrawals.models.user import User

COLUMNS = tuple(field.attname for field in User._meta.concrete_fields)
TOLD = ("told_roles", "told_own", "told_of_roles")
# Between names that come as one text; in none of them.
BETWEEN = "\n"


def read_person(pk: int) -> User | None:
    """The person with this key as the database has them now, with their permissions and the names of their roles."""
    found = rows_of(_person, pk=pk)
    return _made(found[0]) if found else None


def read_person_and_session(pk: int, *, key: str, now: datetime) -> tuple[User | None, str | None]:
    """The same with what the session of this name holds, as `read_session` tells it."""
    found = rows_of(_person_and_session, pk=pk, key=key, now=now)
    if not found:
        return None, None
    *told, session = found[0]
    return _made(told), session


def read_session(key: str, *, now: datetime) -> str | None:
    """What the session of this name holds, as it is kept; None where it has ended by `now`, or is none."""
    found = rows_of(_session, key=key, now=now)
    return found[0][0] if found else None


def _made(told: Sequence[Any]) -> User:
    *columns, roles, own, of_roles = told
    person = User.from_db(connection.alias, COLUMNS, columns)
    person.role_names = sorted(_names(roles))
    if not person.is_superuser:
        # Where Django's backend keeps what it has asked for; a superuser's it does not ask for.
        person._perm_cache = {*_names(own), *_names(of_roles)}  # type: ignore[attr-defined]
    return person


def _names(text: str | None) -> list[str]:
    return text.split(BETWEEN) if text else []


def _person_and_session(pk: int, key: str, now: datetime) -> QuerySet[User, Any]:
    return _person(pk).annotate(session=Subquery(_session(key, now))).values_list(*COLUMNS, *TOLD, "session")


def _session(key: str, now: datetime) -> QuerySet[Session, Any]:
    return Session.objects.filter(session_key=key, expire_date__gt=now).values_list("session_data")


def _person(pk: int) -> QuerySet[User, Any]:
    permissions, codename = Permission.objects.order_by(), Concat("content_type__app_label", Value("."), "codename")
    told = (
        _as_text(Group.objects.filter(user=OuterRef("pk")), "name"),
        _as_text(permissions.filter(user=OuterRef("pk")), codename),
        _as_text(permissions.filter(group__user=OuterRef("pk")), codename),
    )
    named = dict(zip(TOLD, told, strict=True))
    return User.objects.filter(pk=pk).annotate(**named).values_list(*COLUMNS, *TOLD)


def _as_text(rows: QuerySet[Any], name: Any) -> Subquery:
    one_group = rows.order_by().annotate(all=Value(1)).values("all")
    return Subquery(one_group.annotate(told=StringAgg(name, Value(BETWEEN))).values("told"))
