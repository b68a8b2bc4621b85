#!/usr/bin/env python3
"""Verify an export of the audit log, far from the desk that made it. Needs this file and Python 3.11, nothing else.

    python3 verify_export.py audit.jsonl [--anchors FILE] [--anchor "NUMBER HASH"]

An export is one JSON object a line: first {"format", "exported_at", "head": {"number", "hash"}}, then the anchors that
the desk had kept, each {"anchor": {"number", "hash", "place"}}, then every entry from number 1 on, and last
{"end": true}.

The hash of an entry is SHA-256, in hex, over the JSON of this list, with sorted keys, no blanks, and everything beyond
ASCII written as \\uXXXX: [previous_hash, number, at, actor_id, actor_name, action, trade_id, item_id, before, after,
reason, source, cause, request_id]. `at` is ISO 8601 in UTC with microseconds. The first previous_hash is 64 zeros.

A log whose every hash was made anew passes that; only an anchor that left the machine earlier can tell. Give the file
that AUDIT_ANCHOR_FILE named, or the line of a mail or of a Slack message: those weigh more than the export's own.

Ends with status 0 where the log holds, 1 where it was tampered with, 2 where the file is no export.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

CONTENT = (
    "previous_hash", "number", "at", "actor_id", "actor_name", "action", "trade_id", "item_id",
    "before", "after", "reason", "source", "cause", "request_id",
)  # fmt: skip
GENESIS = "0" * 64
ANCHOR = re.compile(r"`?(\d{1,18})[ :]([0-9a-f]{64})\b")
# The anchors that the export brings along: whoever wrote the log anew wrote these anew too.
OWN = "of the export's own, for"
# How far an entry may have been moved from its number and still be known again.
FARTHEST_MOVE = 1_000

Entry = dict[str, Any]
encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


class NoExport(Exception):
    """The file is not an export of the audit log; the sentence says why."""


class Tampered(Exception):
    """What was done, to which entry first, and by what that shows."""

    def __init__(self, kind: str, number: int, why: str, *, last: int = 0) -> None:
        super().__init__(f"{kind}: entry {number}. {why}")
        self.number, self.last = number, last or number


class Log:
    """A walk along the entries of an export."""

    def __init__(self, anchors: Iterable[tuple[int, str, str]]) -> None:
        self.head: Entry = {}
        self.number, self.hash, self.anchored, self.is_whole = 0, GENESIS, 0, False
        # The last entry that an anchor from elsewhere vouches for; None where there is no such anchor.
        self.vouched: int | None = None
        self.anchors: dict[int, list[tuple[str, str]]] = {}
        self.recent = {GENESIS: 0}
        # What an anchor contradicts. A few forged entries end in a break of the chain, which says more.
        self.doubt: Tampered | None = None
        for anchor in anchors:
            self.believe(*anchor)

    def believe(self, number: int, digest: str, place: str) -> None:
        """Compare the entry of this number with an anchor that the export did not bring along itself."""
        self.vouched = self.vouched or 0
        self.remember(number, digest, place)

    def remember(self, number: int, digest: str, place: str) -> None:
        """Compare the entry of this number with an anchor."""
        self.anchors.setdefault(number, []).append((digest, place))

    def verify(self, lines: Iterable[str]) -> None:
        """Read to the end. Raises Tampered at the first entry that does not fit, NoExport."""
        objects = (parsed(line) for line in lines if line.strip())
        self.head = next(objects, {}).get("head") or {}
        if not isinstance(self.head, dict) or not {"number", "hash"} <= self.head.keys():
            raise NoExport("The first line is not the header of an export.")
        try:
            for each in objects:
                if self.is_whole:
                    raise NoExport("Something follows the last line.")
                # Exactly these: an entry must not pass for another kind of line, which nothing proves.
                if each.keys() == {"anchor"}:
                    anchor = each["anchor"]
                    self.remember(anchor["number"], anchor["hash"], f"{OWN} {anchor['place']}")
                elif each.keys() == {"end"}:
                    self.is_whole = True
                else:
                    self.look_at(each, objects)
        except Tampered as tampered:
            raise self.doubt if self.doubt and self.doubt.last < tampered.number else tampered from None
        if self.doubt:
            # Of the last entry of all the head says more: it has no neighbour to know it otherwise.
            if self.doubt.last == self.number == self.head["number"] and self.head["hash"] != self.hash:
                self.look_at_the_end()
            raise self.doubt
        self.look_at_the_end()

    def look_at(self, entry: Entry, following: Iterator[Entry]) -> None:
        """The next entry must carry the next number, the hash of the one before, its own, and nothing beside."""
        if beside := sorted(entry.keys() - {*CONTENT, "hash"}):
            raise Tampered("Inserted", self.number + 1, f"No hash covers what it says as {', '.join(beside)}.")
        follows = entry.get("number") == self.number + 1 and entry.get("previous_hash") == self.hash
        if not follows or own_hash(entry) != entry.get("hash"):
            self.explain(entry, next(following, {}))
        self.number, self.hash = entry["number"], entry["hash"]
        self.recent[self.hash] = self.number
        if len(self.recent) > 2 * FARTHEST_MOVE:
            self.recent = dict(list(self.recent.items())[-FARTHEST_MOVE:])
        for digest, place in self.anchors.get(self.number, ()):
            if digest == self.hash:
                self.anchored = self.number if self.doubt is None else self.anchored
                if not place.startswith(OWN):
                    self.vouched = self.number
            elif self.doubt is None:
                why = f"It or one up to {self.number}: an anchor {place} has another hash."
                self.doubt = Tampered("Rewritten", self.anchored + 1, why, last=self.number)

    def explain(self, entry: Entry, following: Entry) -> None:
        """Which entry is the first bad one, and what was done to it. Always raises Tampered."""
        number = entry.get("number")
        if not isinstance(number, int) or number <= self.number:
            raise Tampered("Inserted", number, "Its number was never given out.")
        if number > self.number + 1:
            raise Tampered("Missing", self.number + 1, f"The next is {number}.")
        if own_hash(entry) != entry.get("hash"):
            moves = (sign * step for step in range(1, FARTHEST_MOVE + 1) for sign in (1, -1))
            true = next((number + move for move in moves if own_hash(entry, number + move) == entry.get("hash")), None)
            if true is None:
                raise Tampered("Edited", number, "Its content does not make its hash.")
            kind, first = ("Missing", number) if true > number else ("Inserted", true)
            raise Tampered(kind, first, f"Entry {number} was entry {true} once.")
        true_previous = self.recent.get(str(entry["previous_hash"]))
        if true_previous is not None and true_previous < number - 1:
            raise Tampered("Inserted", true_previous + 1, f"Entry {number} follows entry {true_previous}.")
        known = following.get("previous_hash") or (self.head["hash"] if self.head["number"] == number else "")
        if number > 1 and known == entry["hash"]:
            raise Tampered("Edited", self.number, f"Entry {number} knows it with another hash.")
        raise Tampered("Edited", number, "It does not follow the entry before it.")

    def look_at_the_end(self) -> None:
        """The log must reach its head and every anchor, and go no further."""
        beyond = max((number for number in self.anchors if number > self.number), default=0)
        if self.head["number"] > self.number or beyond:
            furthest = max(self.head["number"], beyond)
            raise Tampered("Tail cut", self.number + 1, f"The log should reach entry {furthest}.")
        if self.head["number"] < self.number:
            raise Tampered("Inserted", self.head["number"] + 1, "The head of the log was never there.")
        if self.head["hash"] != self.hash:
            raise Tampered("Edited", self.number, "The head of the log knows it with another hash.")
        if not self.is_whole:
            raise NoExport("The last line is missing: the download was not finished.")


def own_hash(entry: Entry, number: int | None = None) -> str:
    """The hash that the entry should carry, under another number if one is given."""
    content = [entry.get(name) for name in CONTENT]
    if number is not None:
        content[1] = number
    return hashlib.sha256(encode(content).encode()).hexdigest()


def parsed(line: str) -> Entry:
    """One line of the export."""
    try:
        found = json.loads(line, object_pairs_hook=once)
    except ValueError as error:
        raise NoExport(f"A line is not JSON: {line[:60]!r}") from error
    if not isinstance(found, dict):
        raise NoExport(f"A line is not an object: {line[:60]!r}")
    return found


def once(pairs: list[tuple[str, Any]]) -> Entry:
    """An object in which no name stands twice: other readers would take the first of the two."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise NoExport(f"A line says something twice: {', '.join(name for name, _ in pairs)[:80]}")
    return found


def read_anchors(path: str) -> Iterator[tuple[int, str, str]]:
    """The anchors of a file that AUDIT_ANCHOR_FILE named."""
    with Path(path).open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if found := ANCHOR.match(line):
                yield int(found[1]), found[2], f"in {path}"


def main() -> int:
    """Say what was found, and end with the status that says it to a script."""
    parser = argparse.ArgumentParser(description="Verify an export of the audit log.")
    parser.add_argument("export", help="the JSON lines; - for what is piped in")
    parser.add_argument("--anchors", action="append", default=[], help="a file of anchors")
    parser.add_argument("--anchor", action="append", default=[], help='"NUMBER HASH", from a mail or from Slack')
    given = parser.parse_args()
    log = Log(anchor for path in given.anchors for anchor in read_anchors(path))
    for text in given.anchor:
        found = ANCHOR.match(text.strip())
        if not found:
            parser.error(f"{text!r} is no anchor: a number, a blank or colon, and 64 hexadecimal digits")
        log.believe(int(found[1]), found[2], "given here")
    try:
        with sys.stdin if given.export == "-" else Path(given.export).open(encoding="utf-8") as lines:
            log.verify(lines)
    except Tampered as tampered:
        print(tampered)
        return 1
    except (NoExport, OSError, UnicodeDecodeError, KeyError, TypeError) as problem:
        print(f"No export that can be verified: {problem}", file=sys.stderr)
        return 2
    vouched = f"anchors vouch for entries up to {log.vouched}"
    if log.vouched is None:
        vouched = "no anchor from elsewhere to compare with"
    print(f"{log.number} entries verified; the head is {log.hash}; {vouched}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
