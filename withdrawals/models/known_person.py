"""Who somebody is and what they may do, in one statement: asked for with every request, so never kept."""

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.db.models import OuterRef, QuerySet, StringAgg, Subquery, Value
from django.db.models.functions import Concat

from withdrawals.models.prepared import rows_of
from withdrawals.models.user import User

COLUMNS = tuple(field.attname for field in User._meta.concrete_fields)
# Between names that come as one text; in none of them.
BETWEEN = "\n"


def read_person(pk: int) -> User | None:
    """The person with this key as the database has them now, with their permissions and the names of their roles."""
    found = rows_of(_person, pk=pk)
    if not found:
        return None
    *columns, roles, own, of_roles = found[0]
    person = User.from_db(connection.alias, COLUMNS, columns)
    person.role_names = sorted(_names(roles))
    if not person.is_superuser:
        # Where Django's backend keeps what it has asked for; a superuser's it does not ask for.
        person._perm_cache = {*_names(own), *_names(of_roles)}  # type: ignore[attr-defined]
    return person


def _names(text: str | None) -> list[str]:
    return text.split(BETWEEN) if text else []


def _person(pk: int) -> QuerySet[User, Any]:
    permissions, codename = Permission.objects.order_by(), Concat("content_type__app_label", Value("."), "codename")
    told = {
        "told_roles": _as_text(Group.objects.filter(user=OuterRef("pk")), "name"),
        "told_own": _as_text(permissions.filter(user=OuterRef("pk")), codename),
        "told_of_roles": _as_text(permissions.filter(group__user=OuterRef("pk")), codename),
    }
    return User.objects.filter(pk=pk).annotate(**told).values_list(*COLUMNS, *told)


def _as_text(rows: QuerySet[Any], name: Any) -> Subquery:
    one_group = rows.order_by().annotate(all=Value(1)).values("all")
    return Subquery(one_group.annotate(told=StringAgg(name, Value(BETWEEN))).values("told"))
