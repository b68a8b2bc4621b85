"""Verify a case file away from the desk, with Python alone: `python verify_case.py case.json`.

Checks the file's own hash, every document's text, what each first person saw, every audit entry, and that the evidence
of each decision is among the documents. Ends with 0 and one line where all holds, with 1 and each fault otherwise.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

# In the order in which an entry's hash covers them.
COVERED = [
    "previous_hash",
    "number",
    "at",
    "actor_id",
    "actor_name",
    "action",
    "trade_id",
    "item_id",
    "before",
    "after",
    "reason",
    "source",
    "cause",
    "request_id",
]


def faults(case: dict[str, Any]) -> list[str]:
    """What does not hold, one sentence each."""
    found = []
    if case.get("sha256") != _hash({name: value for name, value in case.items() if name != "sha256"}):
        found.append("The file is not as it was made: its own hash does not fit.")
    by_name = {}
    for document in case["documents"]:
        by_name[document["document"]] = document["sha256_as_received"]
        of_text = hashlib.sha256(document["text"].encode()).hexdigest()
        if of_text != document["sha256_of_text"]:
            found.append(f"{document['document']} was edited.")
        if not document["is_masked"] and "�" not in document["text"] and of_text != document["sha256_as_received"]:
            found.append(f"{document['document']} is not what was received.")
    refund = case["refund"] or {"ledger": [], "approvals": []}
    for approval in refund["approvals"]:
        if approval["fingerprint"] != _hash(approval["shown"]):
            found.append(f"What the first person saw in request {approval['number']} was edited.")
    for decided in [*refund["ledger"], *([case["refund"]] if case["refund"] else [])]:
        if by_name.get(decided["evidence"]) != decided["evidence_sha256"]:
            found.append(f"The evidence {decided['evidence']} is missing, or another than was decided on.")
    for entry in case["audit"]:
        if entry["hash"] != _hash([entry[name] for name in COVERED]):
            found.append(f"Audit entry {entry['number']} was edited.")
    return found


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def main() -> int:
    """0 where the file named on the command line verifies."""
    case = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    found = faults(case)
    lines = found or [f"Verified: {len(case['documents'])} documents, {len(case['audit'])} audit entries."]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
