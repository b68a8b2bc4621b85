"""Migrations expand and contract: the release before this one can live with each of them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "withdrawals" / "migrations"
# No release was made before these; what follows must expand only.
FIRST = {path.name for path in FOLDER.glob("00*.py") if path.name < "0011"}
# A contraction is a release of its own: the migration's name, and the release that stopped using what it removes.
CONTRACTIONS: dict[str, str] = {}
REMOVES = {"RemoveField", "DeleteModel", "RenameField", "RenameModel", "AlterModelTable"}


def offences(source: str) -> Iterator[str]:
    """What the release before would stumble over."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name = node.func.attr
        given = {word.arg: word.value for word in node.keywords}
        if name in REMOVES:
            yield f"{name}: the release before still uses it"
        elif name in ("AddField", "AlterField") and isinstance(given.get("field"), ast.Call):
            field = {word.arg: word.value for word in given["field"].keywords}
            may_be_absent = _is_true(field.get("null")) or "db_default" in field
            many = isinstance(given["field"].func, ast.Attribute) and given["field"].func.attr == "ManyToManyField"
            if name == "AddField" and not (may_be_absent or many):
                yield "AddField without null or db_default: the release before inserts rows without it"


def _is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("0*.py")))
def test_a_migration_only_adds_what_the_release_before_can_live_with(name: str) -> None:
    if name in FIRST or name in CONTRACTIONS:
        return
    assert list(offences((FOLDER / name).read_text())) == []


@pytest.mark.parametrize(
    "planted",
    [
        "migrations.RemoveField(model_name='item', name='price')",
        "migrations.DeleteModel(name='Alarm')",
        "migrations.RenameField(model_name='item', old_name='a', new_name='b')",
        "migrations.AddField(model_name='item', name='x', field=models.CharField(max_length=3))",
        "migrations.AddField(model_name='item', name='x', field=models.CharField(default='', max_length=3))",
    ],
)
def test_a_migration_that_breaks_the_release_before_is_found(planted: str) -> None:
    assert len(list(offences(planted))) == 1


@pytest.mark.parametrize(
    "planted",
    [
        "migrations.AddField(model_name='item', name='x', field=models.CharField(null=True, max_length=3))",
        "migrations.AddField(model_name='item', name='x', field=models.BooleanField(db_default=False))",
        "migrations.CreateModel(name='Presence', fields=[('id', models.BigAutoField())])",
        "migrations.AddIndex(model_name='item', index=models.Index(fields=['x'], name='x'))",
    ],
)
def test_a_migration_that_expands_is_right(planted: str) -> None:
    assert list(offences(planted)) == []
