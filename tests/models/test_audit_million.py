"""How long a log of a million entries takes to verify, here and offline. Timed, so it runs in `make soak` alone."""

import json
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection, transaction

from tests.models.test_audit_tampering import VERIFIER
from tests.wire import NOON
from withdrawals.models import AuditHead
from withdrawals.models.audit import entry_hash
from withdrawals.models.audit_chain import CONTENT, verify_chain
from withdrawals.models.audit_export import json_lines

ENTRIES = 1_000_000
CHUNK = 10_000


def fill(entries: int) -> None:
    """A log of this length, past the actions and past Django's rows, which alone would take minutes."""
    head = AuditHead.objects.get()
    names = (*CONTENT, "hash")
    marks = ", ".join(["%s"] * len(names))
    insert = f"INSERT INTO withdrawals_auditentry ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 # names of the code
    before, after = {"status": "pending", "price": "12.3400"}, {"status": "active", "price": "12.3400"}
    texts = json.dumps(before), json.dumps(after)
    for start in range(0, entries, CHUNK):
        chunk = []
        for number in range(start + 1, start + CHUNK + 1):
            at = NOON + timedelta(seconds=number)
            facts = (None, "AssetPay", "item.changed", None, None)
            rest = ("", "callback", f"delivery:{number}", f"{number:032x}")
            told = [head.hash, number, at.isoformat(timespec="microseconds"), *facts, before, after, *rest]
            digest = entry_hash(told)
            # SQLite keeps the time as text without its zone, as Django writes it.
            kept_at = at.replace(tzinfo=None).isoformat(" ") if connection.vendor == "sqlite" else at
            chunk.append((head.hash, number, kept_at, *facts, *texts, *rest, digest))
            head.number, head.hash = number, digest
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(insert, chunk)
    head.save(update_fields=["number", "hash"])


@pytest.mark.soak
@pytest.mark.django_db(transaction=True)
def test_f74_a_million_entries_verify_in_under_a_minute(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(ENTRIES)

    started, busy = time.monotonic(), time.process_time()
    verified = verify_chain()
    took, busy = time.monotonic() - started, time.process_time() - busy

    assert (verified.entries, verified.problem) == (ENTRIES, "")
    export = tmp_path / "audit.jsonl"
    with export.open("w") as out:
        out.writelines(json_lines(AuditHead.objects.get(), now=NOON))
    started = time.monotonic()
    said = subprocess.run([sys.executable, VERIFIER, export], capture_output=True, text=True, check=True).stdout
    offline = time.monotonic() - started
    assert said.startswith(f"{ENTRIES} entries verified")
    figure = f"{took:.0f} s ({busy:.0f} s of work), offline {offline:.0f} s"
    with capsys.disabled():
        print(f"\n{connection.vendor}: {ENTRIES} entries in {figure}")  # noqa: T201 # the figure of a soak
    # On a machine that others share, the work that it took says more than the clock on the wall.
    assert min(took, busy) < 60
