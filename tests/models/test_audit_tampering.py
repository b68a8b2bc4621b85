"""F74: whatever is done to the log by somebody with the keys of the database is found, and named at the right entry."""

import importlib.util
import os
import random
from pathlib import Path
from types import ModuleType

import pytest
from django.db import connection

from tests.tampering import Done, Log, somebody_with_the_keys, write
from tests.wire import NOON
from withdrawals.models import Anchor, AuditEntry, AuditHead, TamperKind
from withdrawals.models.audit_chain import Walk, verify_chain
from withdrawals.models.audit_export import json_lines

VERIFIER = Path(__file__).resolve().parents[2] / "scripts" / "verify_export.py"
SOAK = int(os.environ.get("SOAK_RUNS") or 1_000)


@pytest.fixture(scope="module")
def verifier() -> ModuleType:
    """The offline verifier, as it is handed out."""
    spec = importlib.util.spec_from_file_location("verify_export", VERIFIER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def found_offline(verifier: ModuleType, anchors: list[Anchor]) -> str:
    """What the offline verifier says of an export made now; empty where it finds nothing."""
    log = verifier.Log((anchor.number, anchor.hash, anchor.place) for anchor in anchors)
    lines = "".join(json_lines(AuditHead.objects.get(), now=NOON)).splitlines()
    try:
        log.verify(lines)
    except verifier.Tampered as tampered:
        return str(tampered)
    return ""


def agrees(said: str, done: Done) -> bool:
    """Whether the offline verifier's sentence names the deed."""
    return any(
        said.startswith(f"{kind.label}: entry {number}.")
        for kind in done.kinds
        for number in range(done.first, done.last + 1)
    )


@pytest.mark.django_db
@pytest.mark.parametrize("tamperings", [96, pytest.param(SOAK, marks=pytest.mark.soak)])
def test_f74_random_tamperings_are_all_found_and_named_here_and_offline(
    tamperings: int, verifier: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(74)
    log = Log(43)
    deeds = log.deeds()
    with somebody_with_the_keys():
        for turn in range(tamperings):
            done = deeds[turn % len(deeds)](chance)

            found = verify_chain(log.anchors).tampering
            said = found_offline(verifier, log.anchors)

            assert found is not None, done
            assert done.is_named_by(found.kind, found.number), (done, found)
            # What stands behind the head is no part of an export.
            assert agrees(said, done) or "behind the head" in done.deed, (done, said)
            log.put_back()
            assert verify_chain(log.anchors).problem == ""
        assert found_offline(verifier, log.anchors) == ""
    with capsys.disabled():
        if tamperings >= SOAK:
            print(f"\n{connection.vendor}: {tamperings} tamperings, all found and named")  # noqa: T201 # the figure of a soak


@pytest.mark.django_db
def test_f74_control_without_an_anchor_a_rewritten_log_passes(verifier: ModuleType) -> None:
    log = Log(20)
    with somebody_with_the_keys():
        for deed in (log.rewrite, log.cut_the_tail_and_mend_the_head):
            deed(random.Random(1))

            assert verify_chain().problem == ""
            assert found_offline(verifier, []) == ""
            assert verify_chain(log.anchors).problem != ""
            log.put_back()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("column", "damage"),
    [("before", "{"), ("after", "[[["), ("at", "yesterday"), ("at", "2026-13-45 99:00:00"), ("before", "")],
)
def test_f74_an_entry_that_cannot_even_be_read_is_named(column: str, damage: str) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL keeps its types")
    write(5)
    with somebody_with_the_keys(), connection.cursor() as cursor:
        if column != "at":
            cursor.execute("PRAGMA ignore_check_constraints = on")
        cursor.execute(f"UPDATE withdrawals_auditentry SET {column} = %s WHERE number = 3", [damage])  # noqa: S608 # names of this test
        cursor.execute("PRAGMA ignore_check_constraints = off")

    found = verify_chain().tampering

    assert found is not None
    assert (found.kind, found.number) == (TamperKind.EDITED, 3)


@pytest.mark.django_db
def test_f74_a_log_without_its_head_is_no_whole_log() -> None:
    write(2)
    AuditHead.objects.all().delete()

    found = verify_chain().tampering

    assert found is not None
    assert found.kind == TamperKind.MISSING


@pytest.mark.django_db
def test_a_walk_that_is_put_down_and_taken_up_finds_the_same() -> None:
    log = Log(30)
    with somebody_with_the_keys():
        done = log.edit(random.Random(4))
    walk = Walk()
    while not walk.is_over:
        walk = Walk(walk.position)
        walk.go(3)

    assert walk.tampering is not None
    assert done.is_named_by(walk.tampering.kind, walk.tampering.number)


@pytest.mark.django_db
def test_f74_on_an_untouched_log_nothing_is_found() -> None:
    log = Log(30)

    verified = verify_chain(log.anchors)

    assert (verified.entries, verified.problem, verified.anchored) == (30, "", 30)
    assert AuditEntry.objects.count() == 30
