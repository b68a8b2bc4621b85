"""Rules of the rooms that no import can show, read from the source. Each is also tried on a planted offence."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_database

PROJECT = Path(__file__).resolve().parent.parent
ROOM = PROJECT / "withdrawals"

Rule = Callable[[ast.Module], list[str]]


def modules(*places: str) -> list[Path]:
    """Every module at these places of the room, a file or a folder each; a place may not be there yet."""
    found = [ROOM / place for place in places]
    return sorted(
        file for path in found for file in (path.rglob("*.py") if path.is_dir() else [path]) if file.is_file()
    )


def offences(rule: Rule, files: list[Path]) -> list[str]:
    """What `rule` finds, as "file:line what"."""
    return [
        f"{file.relative_to(PROJECT)}:{offence}"
        for file in files
        for offence in rule(ast.parse(file.read_text(), filename=str(file)))
    ]


def at(node: ast.AST, what: str) -> str:
    """One offence."""
    return f"{getattr(node, 'lineno', 0)} {what}"


def imported(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Every imported name in full, with its place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def is_named(node: ast.AST, *names: str) -> bool:
    """Whether `node`, or what it calls, is one of these names, or ends in it."""
    node = node.func if isinstance(node, ast.Call) else node
    return (isinstance(node, ast.Name) and node.id in names) or (isinstance(node, ast.Attribute) and node.attr in names)


def outside_tasks(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those inside a @task function, which is a door too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef) and any(is_named(mark, "task") for mark in node.decorator_list):
            continue
        yield node
        yield from outside_tasks(node)


# --- Doors read the clock; everyone else is given `now` ---------------------------------------------------

CLOCKS = {("timezone", "now"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}
NOT_DOORS = [
    path
    for path in modules(".")
    if path.relative_to(ROOM).parts[0]
    not in {"views", "management", "middleware.py", "accounts.py", "admin.py", "apps.py", "migrations", "oidc.py"}
]


def reads_clock_or_request(tree: ast.Module) -> list[str]:
    """Reading the clock, or touching HTTP."""
    found = [
        at(node, name)
        for node, name in imported(tree)
        if name.startswith(("django.http.", "django.shortcuts.")) or name == "django.utils.timezone.now"
    ]
    for node in outside_tasks(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if (owner, node.attr) in CLOCKS:
                found.append(at(node, f"{owner}.{node.attr}"))
    return found


def test_only_doors_read_the_clock_and_speak_http() -> None:
    assert offences(reads_clock_or_request, NOT_DOORS) == []


@pytest.mark.parametrize(
    "planted",
    [
        "from django.http import HttpResponse",
        "from django.shortcuts import render",
        "from django.utils.timezone import now",
        "def confirm():\n    return timezone.now()",
        "made_at = DateTimeField(default=timezone.now)",
        "def age():\n    return datetime.datetime.now(UTC)",
    ],
)
def test_a_clock_or_a_request_behind_the_doors_is_found(planted: str) -> None:
    assert len(reads_clock_or_request(ast.parse(planted))) == 1


def test_a_task_is_a_door_and_may_read_the_clock() -> None:
    source = "@task\ndef drain():\n    work(now=timezone.now())\n\n@task(priority=1)\ndef read():\n    timezone.now()"

    assert reads_clock_or_request(ast.parse(source)) == []


# --- Writes are actions -----------------------------------------------------------------------------------

READERS = modules("urls.py", "views", "forms.py", "forms", "filters.py", "filters", "management", "gateway.py")
WRITES = {
    "save", "create", "update", "delete", "get_or_create", "update_or_create",
    "bulk_create", "bulk_update", "enqueue", "move",
}  # fmt: skip


def writes(tree: ast.Module) -> list[str]:
    """Calls that write rows or wake workers.

    A queryset's update() takes keywords only and delete() nothing, so with a plain argument they are a dict's or
    a session's.
    """
    return [
        at(node, f".{node.func.attr}()")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in WRITES
        and not (node.func.attr in {"update", "delete"} and node.args)
    ]


def test_only_actions_write() -> None:
    assert offences(writes, READERS) == []


@pytest.mark.parametrize(
    "planted",
    [
        "item.save(update_fields=['status'])",
        "Refund.objects.create(item=item)",
        "Refund.objects.filter(pk=1).update(state='confirmed')",
        "trade.items.all().delete()",
        "Item.objects.bulk_create(items)",
        "drain_cancellations.enqueue()",
        "row.move(to=state)",
    ],
)
def test_a_write_outside_the_actions_is_found(planted: str) -> None:
    assert len(writes(ast.parse(planted))) == 1


def test_filling_a_dict_is_no_write() -> None:
    assert writes(ast.parse("context.update({'rows': rows}); request.session.update(seen)")) == []


# --- No network inside a transaction ----------------------------------------------------------------------

NETWORK = ("httpx", "requests", "socket", "http.client", "urllib.request", "smtplib", "django.core.mail")
# These of the gateway's functions only compute.
OFFLINE = {"check_signature", "self_test"}


def is_atomic(node: ast.AST) -> bool:
    """Whether a decorator or a `with` item opens a transaction."""
    return is_named(node, "atomic")


def network_modules_with_transactions(tree: ast.Module) -> list[str]:
    """A module that opens transactions and could reach the network by itself."""
    if not any(is_atomic(node) for node in ast.walk(tree)):
        return []
    return [
        at(node, name)
        for node, name in imported(tree)
        if any(name == module or name.startswith(module + ".") for module in NETWORK)
    ]


def gateway_calls_in_transactions(tree: ast.Module) -> list[str]:
    """Calls of the gateway inside `with transaction.atomic()` or under `@transaction.atomic`."""
    prefix = "withdrawals.gateway."
    functions = {name.removeprefix(prefix) for _, name in imported(tree) if name.startswith(prefix)} - OFFLINE
    return [
        at(node, ast.unparse(node.func))
        for scope in ast.walk(tree)
        if (isinstance(scope, ast.With) and any(is_atomic(item.context_expr) for item in scope.items))
        or (isinstance(scope, ast.FunctionDef) and any(is_atomic(mark) for mark in scope.decorator_list))
        for part in scope.body
        for node in ast.walk(part)
        if isinstance(node, ast.Call) and _asks_assetpay(node.func, functions)
    ]


def _asks_assetpay(called: ast.expr, functions: set[str]) -> bool:
    if isinstance(called, ast.Attribute):
        return (
            isinstance(called.value, ast.Name)
            and called.value.id == "gateway"
            and called.attr not in OFFLINE
            and called.attr[0].islower()
        )
    return isinstance(called, ast.Name) and called.id in functions and called.id[0].islower()


def test_modules_with_transactions_reach_the_network_only_through_the_gateway() -> None:
    assert offences(network_modules_with_transactions, modules(".")) == []


def test_no_transaction_stands_round_a_call_of_the_gateway() -> None:
    assert offences(gateway_calls_in_transactions, modules(".")) == []


@pytest.mark.parametrize("planted", ["import httpx", "import http.client", "from urllib.request import urlopen"])
def test_the_network_beside_a_transaction_is_found(planted: str) -> None:
    source = f"{planted}\nwith transaction.atomic():\n    pass"

    assert len(network_modules_with_transactions(ast.parse(source))) == 1


@pytest.mark.parametrize(
    "planted",
    [
        "with transaction.atomic():\n    gateway.cancel_item(item)",
        "with transaction.atomic(durable=True):\n    if due:\n        gateway.fetch_trade(trade)",
        "@transaction.atomic\ndef read():\n    return gateway.fetch_trades(refs)",
        "from withdrawals.gateway import fetch_trades\nwith atomic():\n    fetch_trades(refs)",
    ],
)
def test_a_gateway_call_inside_a_transaction_is_found(planted: str) -> None:
    assert len(gateway_calls_in_transactions(ast.parse(planted))) == 1


def test_a_gateway_call_between_transactions_is_right() -> None:
    source = (
        "with transaction.atomic():\n    claim()\ngateway.cancel_item(item)\nwith transaction.atomic():\n    note()"
    )

    assert gateway_calls_in_transactions(ast.parse(source)) == []


# --- Money never passes through a float -------------------------------------------------------------------


def floats(tree: ast.Module) -> list[str]:
    """Making a float, writing one down, or a column of them."""
    return [
        at(node, ast.unparse(node))
        for node in ast.walk(tree)
        if (isinstance(node, ast.Call) and is_named(node, "float"))
        or is_named(node, "FloatField")
        or (isinstance(node, ast.Constant) and isinstance(node.value, float))
    ]


MONEY = modules(
    "models", "actions", "assetpay/wallet.py", "forms.py", "templatetags",
    "views/refunds.py", "views/refund_decisions.py", "views/money.py", "views/exports.py", "views/case_files.py",
)  # fmt: skip


def test_f53_p21_money_knows_no_float() -> None:
    assert offences(floats, MONEY) == []


@pytest.mark.parametrize(
    "planted", ["total = float(price)", "price: object = models.FloatField", "loss = price * 0.02"]
)
def test_a_float_is_found(planted: str) -> None:
    assert len(floats(ast.parse(planted))) == 1


# --- The checks look at something -------------------------------------------------------------------------


def test_every_rule_has_modules_to_read() -> None:
    assert min(len(NOT_DOORS), len(READERS), len(modules("models")), len(modules("actions"))) > 5
