"""A statement that is written once answers like the queryset that wrote it, whatever it is asked about."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.factories import ItemFactory, TradeFactory, UserFactory, ago
from withdrawals.models import Item, Role, Status, User
from withdrawals.models.item_names import FOUND_WORDS, Named, named_like
from withdrawals.models.item_tally import count_desk
from withdrawals.models.known_person import read_person
from withdrawals.models.prepared import Counted, count_each, planned_anew, rows_of

pytestmark = pytest.mark.django_db


def by_age(status: str, since: datetime) -> QuerySet[Item, Any]:
    """A status of the shape, a time of the moment."""
    return (
        Item.objects.filter(status=status, opened_at__gte=since).order_by("pk").values_list("pk", "opened_at", "price")
    )


def by_keys(keys: tuple[int, ...], name: str) -> QuerySet[Item, Any]:
    """A list of keys of any length, and a text."""
    return (
        Item.objects.filter(pk__in=keys, trade__assetpay_id=name).order_by("pk").values_list("pk", "trade__opened_at")
    )


def hour_before(since: datetime) -> QuerySet[Item, Any]:
    """Changes what it was given."""
    return Item.objects.filter(opened_at__gte=since - timedelta(hours=1)).values_list("pk")


def test_each_shape_and_each_value_has_its_own_answer() -> None:
    for hours in range(5):
        for status in (Status.PENDING, Status.COMPLETED):
            ItemFactory(status=status, trade=TradeFactory(opened_at=ago(minutes=60 * hours)))

    for status in (Status.PENDING, Status.COMPLETED, Status.PENDING):
        for since in (ago(minutes=90), ago(minutes=210), timezone.now()):
            assert rows_of(by_age, status, since=since) == list(by_age(status, since))


def test_a_list_of_keys_may_have_any_length() -> None:
    trade = TradeFactory()
    keys = [ItemFactory(trade=trade).pk for _ in range(4)]

    for many in (1, 3, 4, 2):
        asked = tuple(keys[:many])
        assert rows_of(by_keys, keys=asked, name=trade.assetpay_id) == list(by_keys(asked, trade.assetpay_id))
    assert rows_of(by_keys, keys=tuple(keys), name="another") == []


def by_reason(reason: str, since: datetime) -> QuerySet[Item, Any]:
    """A constant that looks like a mark."""
    return Item.objects.filter(name=reason, opened_at__gte=since).values_list("pk")


@pytest.mark.parametrize("reason", ["50% off %s", "100%%", "it's"])
def test_a_constant_may_look_like_a_mark(reason: str) -> None:
    item, _ = ItemFactory(name=reason), ItemFactory()

    for _ in range(4):
        assert rows_of(by_reason, reason, since=item.opened_at) == [(item.pk,)]


@pytest.mark.django_db(transaction=True)
def test_a_constant_is_written_before_there_is_a_connection() -> None:
    connection.close()

    assert rows_of(by_reason, "the first that this process asks", since=timezone.now()) == []


def by_part(name: str) -> QuerySet[Item, Any]:
    """What has this text in its name."""
    return Item.objects.filter(name__contains=name).values_list("pk")


def by_words(asked: str) -> QuerySet[Item, Any]:
    """What has these words in its name, where the server knows no trigrams."""
    return named_like(Item.objects.all(), Named(FOUND_WORDS, asked, ())).values_list("pk")


def test_postgresql_plans_a_statement_once_and_knows_its_constants_but_looks_anew_for_each_text() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's driver keeps statements by itself")
    for minutes in range(5):
        rows_of(by_age, str(Status.PENDING), since=ago(minutes=minutes))
        rows_of(by_part, name=f"name {minutes}")
        rows_of(by_words, asked=f"name{minutes}:*")

    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        kept = [statement for (statement,) in cursor.fetchall()]
    (planned,) = [statement for statement in kept if '"opened_at" >= $1' in statement and '"price"' in statement]
    assert f"'{Status.PENDING}'" in planned
    assert not [statement for statement in kept if " LIKE " in statement or " @@ " in statement]


@planned_anew
def by_name(name: str) -> QuerySet[Item, Any]:
    """None, or all."""
    return Item.objects.filter(name=name).values_list("pk", "name")


def test_postgresql_keeps_one_plan_from_the_beginning_but_for_what_hangs_on_its_values() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's driver keeps statements by itself")
    item = ItemFactory(name="AK-47 | 100%")
    for number in range(12):
        count_desk(ago(minutes=number))
        assert rows_of(by_name, name=item.name) == [(item.pk, item.name)]

    with connection.cursor() as cursor:
        cursor.execute("SELECT statement, custom_plans FROM pg_prepared_statements")
        kept = dict(cursor.fetchall())
    assert [kept[statement] for statement in kept if "kept.waiting" in statement] == [0]
    assert not [statement for statement in kept if '"name" =' in statement]


def test_a_statement_that_is_kept_outlives_a_release_that_adds_a_column() -> None:
    for _ in range(8):
        assert rows_of(by_age, str(Status.PENDING), since=timezone.now()) == []

    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE withdrawals_item ADD COLUMN of_the_next_release integer")

    item = ItemFactory()
    found = rows_of(by_age, str(item.status), since=item.opened_at)
    assert [key for key, *_ in found] == [item.pk]


def test_a_value_that_is_changed_on_its_way_is_refused() -> None:
    with pytest.raises(RuntimeError, match="hour_before"):
        rows_of(hour_before, since=timezone.now())


def test_a_person_is_who_the_orm_says(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    mira = UserFactory(role=Role.SUPERVISOR)
    mira.user_permissions.add(Permission.objects.get(codename="manage_people"))
    known = User.objects.get(pk=mira.pk)

    with django_assert_num_queries(1):
        person = read_person(mira.pk)
        assert person is not None
        assert person.get_all_permissions()
        assert person.role_names == ["supervisor"]

    assert {name: getattr(person, name) for name in known.__dict__ if name != "_state"} == {
        name: value for name, value in known.__dict__.items() if name != "_state"
    }
    assert person.get_all_permissions() == known.get_all_permissions()
    assert person.may("manage_people")
    assert not person.may("cancel")


def test_a_person_without_a_role_may_nothing_and_one_who_is_not_there_is_nobody() -> None:
    person = read_person(UserFactory(role=False).pk)

    assert person is not None
    assert (person.get_all_permissions(), person.role_names) == (set(), [])
    assert read_person(0) is None


def test_a_superuser_without_a_role_may_nothing_at_the_desk() -> None:
    person = read_person(UserFactory(role=False, is_superuser=True).pk)

    assert person is not None
    assert not person.may("see_desk")
    assert person.has_perm("withdrawals.see_desk")


def shortened(name: str) -> QuerySet[Item, Any]:
    """Changes a text as searches do."""
    return Item.objects.filter(assetpay_id__endswith=name[-4:]).values_list("pk")


def lowered(names: tuple[str, ...]) -> QuerySet[Item, Any]:
    """The same of many."""
    return Item.objects.filter(assetpay_id__in=[name.lower() for name in names]).values_list("pk")


def test_a_text_that_is_changed_on_its_way_is_refused() -> None:
    with pytest.raises(RuntimeError, match="shortened"):
        rows_of(shortened, name="Abcdefgh")
    with pytest.raises(RuntimeError, match="lowered"):
        rows_of(lowered, names=("Abc", "def"))


def holding(name: str) -> QuerySet[Item, Any]:
    """A text that is looked for within another, and at both its ends."""
    within = Item.objects.filter(name__icontains=name, market_hash_name__istartswith=name, assetpay_id__iendswith=name)
    return within.order_by("pk").values_list("pk")


@pytest.mark.parametrize("text", ["fade", "FA", "100% f_ad", "\\", "{}", "%{}%", "'", "1 Stand-In 0000001"])
def test_a_text_is_looked_for_within_others_as_django_does(text: str) -> None:
    for name in ("Fade", "100% f_ade", "1000 fxade", "a\\b", "x{}y%{}%", "it's", "1 Stand-In 0000001"):
        ItemFactory(name=f"a {name} b", market_hash_name=f"{name} b", assetpay_id=f"1 {name}")
    ItemFactory(name=f"a {text} b", market_hash_name=f"{text} b", assetpay_id=f"1 {text}")

    assert rows_of(holding, name=text) == list(holding(text)) != []


def test_several_are_counted_in_one_statement(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for status in (Status.PENDING, Status.PENDING, Status.COMPLETED):
        ItemFactory(status=status)
    statuses = (Status.PENDING, Status.COMPLETED, Status.HOLD)

    with django_assert_num_queries(1):
        assert count_each([Counted(by_age, (each,), {"since": ago(days=1)}) for each in statuses]) == [2, 1, 0]
