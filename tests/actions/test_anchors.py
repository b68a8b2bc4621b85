"""Sending the head of the audit log away: when, where to, how often at most, and what is said when it fails."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction
from django.db.models import F
from django.test import override_settings
from pytest_django import Settings

from tests.models.test_audit_tampering import VERIFIER
from tests.tampering import somebody_with_the_keys, write
from tests.wire import NOON
from withdrawals.actions.alarms import watch
from withdrawals.actions.anchors import known_anchors, overdue_places, send_anchors
from withdrawals.actions.audit_checks import advance_check, carry_on_checking, keep_log
from withdrawals.models import Alarm, AlarmKind, AuditAnchor, AuditCheck, AuditEntry, AuditHead
from withdrawals.models.audit_chain import verify_chain
from withdrawals.outbound.anchors import AnchorFailed

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


@pytest.fixture
def anchor_file(settings: Settings, tmp_path: Path) -> Path:
    """Where anchors go: a file."""
    path = tmp_path / "anchors"
    settings.AUDIT_ANCHOR_FILE = str(path)
    return path


@pytest.fixture
def slack(settings: Settings) -> Iterator[list[str]]:
    """Where anchors go: a channel."""
    heard: list[str] = []

    class Channel(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            heard.append(body["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Channel)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.AUDIT_ANCHOR_SLACK = f"http://127.0.0.1:{server.server_port}/hook"
    yield heard
    server.shutdown()
    server.server_close()


def head_at(now: datetime, entries: int = 1) -> AuditHead:
    """Entries appended at a moment, and the head after them."""
    minute = round((now - NOON) / MINUTE)
    write(entries, minute=minute)
    return AuditHead.objects.get()


def test_the_head_goes_to_the_file_and_is_kept_with_where_and_when(anchor_file: Path) -> None:
    head = head_at(NOON, 3)

    assert send_anchors(now=NOON) == 1

    assert anchor_file.read_text() == f"3 {head.hash} 2026-03-02T12:00:00+00:00\n"
    kept = AuditAnchor.objects.get()
    assert (kept.number, kept.hash, kept.place, kept.sent_at) == (3, head.hash, "file", NOON)


def test_it_goes_again_after_a_minute_or_a_hundred_entries_and_not_before(anchor_file: Path) -> None:
    head_at(NOON)
    sent = [send_anchors(now=NOON)]
    sent.append(send_anchors(now=NOON + MINUTE))  # nothing was written since
    write(99)
    sent.append(send_anchors(now=NOON + MINUTE / 2))
    write(1)
    sent.append(send_anchors(now=NOON + MINUTE / 2))  # a hundred
    write(1)
    sent.append(send_anchors(now=NOON + MINUTE))
    sent.append(send_anchors(now=NOON + MINUTE * 1.5))  # a minute

    assert sent == [1, 0, 0, 1, 0, 1]
    assert [int(line.split()[0]) for line in anchor_file.read_text().splitlines()] == [1, 101, 102]


def test_a_clock_that_was_set_back_does_not_silence_the_anchors(anchor_file: Path) -> None:
    head_at(NOON)
    send_anchors(now=NOON)
    write(1)

    assert send_anchors(now=NOON - timedelta(hours=3)) == 1


def test_mail_and_slack_get_numbers_and_hashes_alone(slack: list[str], settings: Settings) -> None:
    settings.AUDIT_ANCHOR_EMAIL = "auditor@example.com"
    head = head_at(NOON)

    assert send_anchors(now=NOON) == 2

    line = f"1 {head.hash} 2026-03-02T12:00:00+00:00"
    assert slack == [f"`{line}`"]
    assert (mail.outbox[0].to, mail.outbox[0].body) == (["auditor@example.com"], f"{line}\n")


def test_people_get_one_a_minute_all_through_a_busy_hour_and_the_file_gets_all(
    anchor_file: Path, settings: Settings
) -> None:
    settings.AUDIT_ANCHOR_EMAIL = "auditor@example.com"
    sent, late = [0], []
    for second in range(0, 3_600, 20):
        write(100)
        send_anchors(now=NOON + timedelta(seconds=second))
        sent.append(len(mail.outbox))
        late += overdue_places(now=NOON + timedelta(seconds=second))

    assert sent[-1] == 60
    assert all(later > earlier for earlier, later in zip(sent[1:], sent[4:], strict=False))
    assert late == []
    assert len(anchor_file.read_text().splitlines()) == 180


def test_after_a_clock_that_was_set_back_people_get_one_a_minute_too(settings: Settings) -> None:
    settings.AUDIT_ANCHOR_EMAIL = "auditor@example.com"
    write(1)
    send_anchors(now=NOON + timedelta(hours=1))

    for second in range(0, 300, 5):
        write(1)
        send_anchors(now=NOON + timedelta(seconds=second))

    assert len(mail.outbox) == 1 + 5


def test_an_anchor_that_fails_is_an_alarm_until_it_arrives(settings: Settings, tmp_path: Path) -> None:
    settings.AUDIT_ANCHOR_FILE = str(tmp_path / "missing" / "anchors")
    head_at(NOON)

    assert send_anchors(now=NOON) == 0
    watch(now=NOON + 2 * MINUTE)
    early = list(Alarm.objects.ringing())
    watch(now=NOON + 4 * MINUTE)
    alarm = Alarm.objects.ringing().get(kind=AlarmKind.ANCHORS_FAILING)
    (tmp_path / "missing").mkdir()
    send_anchors(now=NOON + 5 * MINUTE)
    watch(now=NOON + 5 * MINUTE)

    assert early == []
    assert alarm.detail.startswith("File since 02 Mar 12:00 UTC")
    assert not Alarm.objects.ringing().filter(kind=AlarmKind.ANCHORS_FAILING).exists()


def test_kept_anchors_never_change(anchor_file: Path) -> None:
    head_at(NOON)
    send_anchors(now=NOON)

    for change in (
        lambda: AuditAnchor.objects.update(number=9),
        lambda: AuditAnchor.objects.all().delete(),
    ):
        with pytest.raises(DatabaseError, match="never change"), transaction.atomic():
            change()


def rewrite_all() -> None:
    """The whole log, its head and the kept anchors, by somebody with the keys of the database."""
    previous = "0" * 64
    for entry in AuditEntry.objects.order_by("number"):
        entry.previous_hash, entry.reason = previous, "rewritten"
        previous = entry.content_hash()
        AuditEntry.objects.filter(pk=entry.pk).update(
            previous_hash=entry.previous_hash, reason="rewritten", hash=previous
        )
        AuditAnchor.objects.filter(number=entry.number).update(hash=previous)
    AuditHead.objects.update(hash=previous)


def test_f74_a_log_rewritten_together_with_its_kept_anchors_is_found_by_the_file(anchor_file: Path) -> None:
    for minute in range(3):
        head_at(NOON + minute * MINUTE, 2)
        send_anchors(now=NOON + minute * MINUTE)
    line = anchor_file.read_text().splitlines()[0]
    with somebody_with_the_keys():
        rewrite_all()

    assert verify_chain(AuditAnchor.objects.as_sent()).problem == ""
    anchor_file.rename(anchor_file.with_name("kept"))
    for given in (["--anchor", line], ["--anchor-file", str(anchor_file.with_name("kept"))]):
        with pytest.raises(CommandError, match="Rewritten: An entry from 1 to 2 was rewritten"):
            verify_elsewhere(given)


def test_f74_a_log_rewritten_by_somebody_who_emptied_the_kept_anchors_is_found_by_the_file(anchor_file: Path) -> None:
    for minute in range(3):
        head_at(NOON + minute * MINUTE, 2)
        send_anchors(now=NOON + minute * MINUTE)
    with somebody_with_the_keys():
        rewrite_all()
        AuditAnchor.objects.all().delete()

    with pytest.raises(CommandError, match="Rewritten: An entry from 1 to 2 was rewritten"):
        call_command("verify_audit")


def test_before_anything_was_sent_there_need_be_no_file(anchor_file: Path) -> None:
    head_at(NOON)

    assert not anchor_file.exists()
    assert list(known_anchors()) == []


def verify_elsewhere(given: list[str]) -> None:
    """Verify with what is given here, as on a machine that has no file of anchors configured."""
    with override_settings(AUDIT_ANCHOR_FILE=""):
        call_command("verify_audit", *given)


def test_a_file_of_anchors_that_lost_its_last_line_is_told(anchor_file: Path) -> None:
    head_at(NOON)
    send_anchors(now=NOON)
    assert [anchor.number for anchor in known_anchors()] == [1, 1]
    anchor_file.write_text("")

    with pytest.raises(AnchorFailed, match="entry 1 was written to it and is not there"):
        list(known_anchors())
    with pytest.raises(CommandError, match="anchor file cannot be read"):
        call_command("verify_audit")


def test_a_torn_or_foreign_line_of_the_file_is_passed_over(anchor_file: Path) -> None:
    head_at(NOON)
    send_anchors(now=NOON)
    with anchor_file.open("a") as lines:
        lines.write("nonsense\n7 abc\n12 " + "f" * 64)

    assert [anchor.number for anchor in known_anchors()] == [1, 1]


def test_a_long_check_goes_on_slice_by_slice_and_ends_as_one_walk_would(anchor_file: Path) -> None:
    write(12)
    send_anchors(now=NOON)
    check = AuditCheck.objects.create(asked_at=NOON, changed_at=NOON, target=12)
    AuditCheck.objects.filter(pk=check.pk).update(number=5, hash=AuditEntry.objects.get(number=5).hash, anchored=0)
    check.refresh_from_db()

    ended = advance_check(check, now=NOON, most_ms=5_000)

    assert (ended.is_open, ended.number, ended.anchored, ended.problem) == (False, 12, 12, "")
    assert AuditEntry.objects.order_by("-number")[0].action == "audit.check_ended"


def test_two_workers_on_one_check_end_it_once() -> None:
    write(3)
    check = AuditCheck.objects.create(asked_at=NOON, changed_at=NOON, target=3)
    other = AuditCheck.objects.get()

    advance_check(check, now=NOON, most_ms=5_000)
    advance_check(other, now=NOON, most_ms=5_000)

    assert AuditEntry.objects.filter(action="audit.check_ended").count() == 1
    assert carry_on_checking.func() == 0


def test_a_check_that_was_left_alone_is_taken_up_by_the_clock() -> None:
    write(3)
    AuditCheck.objects.create(asked_at=NOON, changed_at=NOON, target=3)

    keep_log.func()
    carry_on_checking.func()

    assert not AuditCheck.objects.open().exists()


def test_a_log_that_was_tampered_with_is_an_alarm() -> None:
    write(3)
    with somebody_with_the_keys():
        AuditEntry.objects.filter(number=2).update(actor_id=F("actor_id"), reason="changed")
    check = AuditCheck.objects.create(asked_at=NOON, changed_at=NOON, target=3)
    advance_check(check, now=NOON, most_ms=5_000)

    watch(now=NOON)

    alarm = Alarm.objects.ringing().get()
    assert (alarm.kind, alarm.detail.startswith("Entry 2 was edited")) == (AlarmKind.LOG_TAMPERED, True)


def verified_offline(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """The offline verifier in a Python that knows nothing of this project."""
    return subprocess.run([sys.executable, "-I", VERIFIER, *arguments], capture_output=True, text=True, check=False)


def test_f74_the_commands_export_is_verified_by_the_program_that_goes_with_it(
    anchor_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(7)
    send_anchors(now=NOON)
    export = tmp_path / "audit.jsonl"

    call_command("export_audit", "--output", str(export))
    holds = verified_offline(export, "--anchors", anchor_file)
    lines = export.read_text().splitlines(keepends=True)
    export.write_text("".join(line.replace('"turn":3', '"turn":4') for line in lines))
    edited = verified_offline(export)
    export.write_text("".join(lines[:-1]))
    unfinished = verified_offline(export)

    assert "8 entries exported" in capsys.readouterr().out
    assert (holds.returncode, edited.returncode, unfinished.returncode) == (0, 1, 2), holds
    assert holds.stdout.startswith("8 entries verified")
    assert "anchors vouch for entries up to 7" in holds.stdout
    assert edited.stdout.startswith("Edited: entry 4.")
    with pytest.raises(CommandError, match="File exists"):
        call_command("export_audit", "--output", str(export))


def test_f74_what_no_hash_covers_is_no_part_of_an_export(anchor_file: Path, tmp_path: Path) -> None:
    """A line may not pass for one of another kind, nothing follows the last, and no name stands twice in one."""
    write(7)
    send_anchors(now=NOON)
    export = tmp_path / "audit.jsonl"
    call_command("export_audit", "--output", str(export))
    lines = export.read_text().splitlines(keepends=True)
    anchor, entry = json.loads(lines[1]), json.loads(lines[4])
    forged = {**entry, "action": "refund.confirmed", "actor_name": "somebody@desk.example"}

    said = {}
    for name, tampered in {
        "as an anchor": [*lines[:5], json.dumps(forged | anchor) + "\n", *lines[5:]],
        "as the end": [*lines[:5], json.dumps(forged | {"end": True}) + "\n", *lines[5:]],
        "after the end": [*lines, json.dumps(forged) + "\n"],
        "one name more": [*lines[:4], json.dumps(entry | {"note": "paid twice"}) + "\n", *lines[5:]],
        "one name twice": [*lines[:4], '{"action":"refund.confirmed",' + lines[4][1:], *lines[5:]],
    }.items():
        export.write_text("".join(tampered))
        said[name] = verified_offline(export, "--anchors", anchor_file).returncode

    assert said == {"as an anchor": 1, "as the end": 1, "after the end": 2, "one name more": 1, "one name twice": 2}


def test_f74_an_export_is_not_vouched_for_by_the_anchors_that_it_brings_along(
    anchor_file: Path, tmp_path: Path
) -> None:
    for minute in range(3):
        head_at(NOON + minute * MINUTE, 2)
        send_anchors(now=NOON + minute * MINUTE)
    with somebody_with_the_keys():
        rewrite_all()
    export = tmp_path / "audit.jsonl"
    with override_settings(AUDIT_ANCHOR_FILE=""):
        call_command("export_audit", "--output", str(export))

    alone, compared = verified_offline(export), verified_offline(export, "--anchors", anchor_file)

    assert alone.returncode == 0
    assert "no anchor from elsewhere to compare with" in alone.stdout
    assert compared.returncode == 1
    assert compared.stdout.startswith("Rewritten: entry 1.")
