"""How long a log of a million entries takes to verify, here and offline. Timed, so it runs in `make soak` alone."""

import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection, transaction

from tests.models.test_audit_tampering import VERIFIER
from tests.wire import NOON
from withdrawals.models import AuditEntry, AuditHead, Source
from withdrawals.models.audit_chain import verify_chain
from withdrawals.models.audit_export import json_lines

ENTRIES = 1_000_000
CHUNK = 10_000


def fill(entries: int) -> None:
    """A log of this length, past the actions: what they write, without a transaction for each."""
    head = AuditHead.objects.get()
    for start in range(0, entries, CHUNK):
        chunk = []
        for number in range(start + 1, start + CHUNK + 1):
            entry = AuditEntry(
                number=number,
                at=NOON + timedelta(seconds=number),
                actor_name="AssetPay",
                action="item.changed",
                before={"status": "pending", "price": "12.3400"},
                after={"status": "active", "price": "12.3400"},
                source=Source.CALLBACK,
                cause=f"delivery:{number}",
                request_id=f"{number:032x}",
                previous_hash=head.hash,
            )
            entry.hash = entry.content_hash()
            head.number, head.hash = number, entry.hash
            chunk.append(entry)
        with transaction.atomic():
            AuditEntry.objects.bulk_create(chunk)
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
    assert took < 60
