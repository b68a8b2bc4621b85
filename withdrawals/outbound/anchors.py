"""Sending the head of the audit log off this machine: a file, a mail, a Slack channel. Numbers and hashes only."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
from django.conf import settings
from django.core.mail import send_mail

SLACK_TIMEOUT_SECONDS = 5
LINE = re.compile(r"(?P<number>\d{1,18}) (?P<hash>[0-9a-f]{64}) (?P<at>\S+)\n")


class AnchorFailed(Exception):
    """The place did not take the anchor; the sentence names the kind of error, never an address."""


def anchor_line(number: int, digest: str, at: datetime) -> str:
    """An anchor as every place gets it: number, hash, and the time in UTC."""
    return f"{number} {digest} {at.astimezone(UTC).isoformat(timespec='seconds')}"


def append_to_file(line: str) -> None:
    """Append to AUDIT_ANCHOR_FILE, and return when it lies on the disk. Raises AnchorFailed."""
    try:
        made_now = not Path(settings.AUDIT_ANCHOR_FILE).exists()
        # Appending only: a line that was written is never touched, and two writers do not mix theirs.
        descriptor = os.open(settings.AUDIT_ANCHOR_FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            os.write(descriptor, f"{line}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if made_now:
            _keep_name(Path(settings.AUDIT_ANCHOR_FILE).parent)
    except OSError as error:
        raise AnchorFailed(error.strerror or type(error).__name__) from error


def _keep_name(folder: Path) -> None:
    # A new file's name lies in its folder, which is written for itself.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def send_by_mail(line: str) -> None:
    """Send to AUDIT_ANCHOR_EMAIL. Raises AnchorFailed."""
    subject = f"AssetPay Admin: audit log at entry {line.split()[0]}"
    try:
        send_mail(subject, f"{line}\n", settings.DEFAULT_FROM_EMAIL, [settings.AUDIT_ANCHOR_EMAIL])
    except OSError as error:  # smtplib's own errors are OSErrors too
        raise AnchorFailed(type(error).__name__) from error


def post_to_slack(line: str) -> None:
    """Post to AUDIT_ANCHOR_SLACK. Raises AnchorFailed."""
    try:
        with httpx.Client(trust_env=False, follow_redirects=False, timeout=SLACK_TIMEOUT_SECONDS) as client:
            client.post(settings.AUDIT_ANCHOR_SLACK, json={"text": f"`{line}`"}).raise_for_status()
    except httpx.HTTPError as error:
        # The cause is left out: it would quote the webhook's address, which is a secret.
        raise AnchorFailed(type(error).__name__) from None


def read_file(path: str) -> Iterator[tuple[int, str]]:
    """Number and hash of each anchor in a file, in its order. Lines that are none are passed over, a torn last one too.

    Raises AnchorFailed where the file cannot be read.
    """
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if anchor := LINE.fullmatch(line):
                    yield int(anchor["number"]), anchor["hash"]
    except OSError as error:
        raise AnchorFailed(error.strerror or type(error).__name__) from error
