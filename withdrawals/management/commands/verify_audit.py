"""`manage.py verify_audit`: walk the whole audit chain and every anchor, and name the first entry that does not fit."""

import argparse
import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from withdrawals.actions.anchors import known_anchors
from withdrawals.models.audit import AuditHead
from withdrawals.models.audit_chain import SLICE, Anchor, Walk, by_number
from withdrawals.outbound.anchors import AnchorFailed, read_file


def anchor(text: str) -> Anchor:
    """An anchor as a mail or a channel shows it: "1234 <hash> <time>", or number and hash with a colon."""
    found = re.match(r"`?(\d{1,18})[ :]([0-9a-f]{64})\b", text.strip())
    if found is None:
        raise argparse.ArgumentTypeError("an anchor is a number, a blank or colon, and 64 hexadecimal digits")
    return Anchor(int(found[1]), found[2], "given here")


class Command(BaseCommand):
    """Ends with status 1 where the chain is broken or an anchor disagrees."""

    help = "Verify the audit log: its chain of hashes, its head, and every anchor that was kept or is given."

    def add_arguments(self, parser: CommandParser) -> None:
        """Anchors that this machine does not hold."""
        parser.add_argument("--anchor", type=anchor, action="append", default=[], help="from a mail or from Slack")
        parser.add_argument("--anchor-file", action="append", default=[], help="a copy of the file of anchors")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say how many entries hold, or which is the first that does not, and in what way."""
        try:
            anchors = [*known_anchors(), *options["anchor"]]
            for path in options["anchor_file"]:
                anchors += [Anchor(number, digest, f"in {path}") for number, digest in read_file(path)]
        except AnchorFailed as error:
            raise CommandError(f"An anchor file cannot be read: {error}.") from error
        end = AuditHead.objects.filter(pk=1).values_list("number", flat=True).first() or 0
        walk = Walk(anchors=by_number(anchors))
        while not walk.is_over:
            walk.go(4 * SLICE)
            if not walk.is_over:
                self.stderr.write(f"{walk.position.number} of {end} ...")
        if walk.tampering is not None:
            raise CommandError(f"{walk.tampering.kind.label}: {walk.tampering.sentence}")
        here = walk.position
        self.stdout.write(f"{here.number} entries verified; the head is {here.hash}.")
        self.stdout.write(
            f"Anchors vouch for entries up to {here.anchored}." if anchors else "No anchor was there to compare with."
        )
