"""Who somebody is and what they may do, in two statements: asked for with every request, so never kept."""

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.db.models import QuerySet, Value

from withdrawals.models.prepared import rows_of
from withdrawals.models.user import User

COLUMNS = tuple(field.attname for field in User._meta.concrete_fields)


def read_person(pk: int) -> User | None:
    """The person with this key as the database has them now, with their permissions and the names of their roles."""
    found = rows_of(_person, pk=pk)
    if not found:
        return None
    person = User.from_db(connection.alias, COLUMNS, found[0])
    granted = rows_of(_granted, pk=pk)
    person.role_names = sorted(name for name, codename in granted if not codename)
    if not person.is_superuser:
        # Where Django's backend keeps what it has asked for; a superuser's it does not ask for.
        person._perm_cache = {f"{app}.{codename}" for app, codename in granted if codename}  # type: ignore[attr-defined]
    return person


def _person(pk: int) -> QuerySet[User, Any]:
    return User.objects.filter(pk=pk).values_list(*COLUMNS)


def _granted(pk: int) -> QuerySet[Any, Any]:
    """App and code name of each permission of this person, their own and their roles'; and each role, with none."""
    names = ("content_type__app_label", "codename")
    granted = Permission.objects.order_by()
    own, of_roles = granted.filter(user=pk), granted.filter(group__user=pk)
    roles = Group.objects.filter(user=pk).values_list("name", Value(""))
    return own.values_list(*names).union(of_roles.values_list(*names), roles).order_by()
