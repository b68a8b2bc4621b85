"""The case file: an item's whole story as plain data, with the hashes by which it can be verified away from here.

Customers' trade-link tokens are masked, so a document's hash as received is stated beside the hash of its text here.
`scripts/verify_case.py` checks a file with Python alone.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

from withdrawals.models.audit import AuditEntry
from withdrawals.models.cancellation import Attempt, Cancellation
from withdrawals.models.delivery import Delivery
from withdrawals.models.item import Item
from withdrawals.models.masking import MASK, mask_tokens
from withdrawals.models.read import Read
from withdrawals.models.refund import Refund, RefundEntry
from withdrawals.models.refund_approval import RefundApproval
from withdrawals.models.refund_rules import RULES

FORMAT = "AssetPay Admin case file 1"
# A trade with more is told so; the item's own evidence is always among them.
MOST_DOCUMENTS = 200
MOST_ENTRIES = 2_000

Json = dict[str, Any]


def case_file(item: Item, *, made_by: str, now: datetime) -> Json:
    """Everything that this desk knows of an item (its trade loaded): facts, documents, verdicts, decisions.

    `sha256` covers all the rest, as JSON with sorted keys and no blanks.
    """
    refund = Refund.objects.filter(item=item).select_related("confirmed_by", "waived_by", "set_by").first()
    entries = list(AuditEntry.objects.filter(trade=item.trade_id).order_by("-number")[: MOST_ENTRIES + 1])
    of_item = [entry for entry in entries[:MOST_ENTRIES] if entry.item_id in (None, item.pk)]
    documents, left_out = _documents(item, refund)
    content: Json = {
        "format": FORMAT,
        "made_at": _iso(now),
        "made_by": made_by,
        "trade": _trade(item),
        "item": _item(item),
        "cancellations": [_cancellation(asked) for asked in _cancellations(item)],
        "refund": _refund(refund) if refund else None,
        "documents": documents,
        "audit": [_entry(entry) for entry in reversed(of_item)],
        "left_out": {"documents": left_out, "audit_entries": len(entries) > MOST_ENTRIES},
    }
    return content | {"sha256": digest(content)}


def digest(content: Json) -> str:
    """SHA-256 of plain data as JSON with sorted keys and no blanks, hex."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _trade(item: Item) -> Json:
    trade = item.trade
    names = ("assetpay_id", "external_id", "source", "status", "game", "client_steam_id", "external_client_user_id")
    times = ("opened_at", "auto_cancel_at", "hold_end_at", "reported_at", "answered_at")
    return (
        {name: getattr(trade, name) for name in names}
        | {name: _iso(getattr(trade, name)) for name in times}
        | {"total_price": _usd(trade.total_price), "reverted_by": trade.reverted_by, "error": trade.error}
        | {"signs": trade.signs, "client_trade_url": mask_tokens(trade.client_trade_url or "")}
    )


def _item(item: Item) -> Json:
    names = ("assetpay_id", "external_id", "asset_id", "status", "reported_status", "ended_as", "error")
    return {name: getattr(item, name) for name in names} | {
        "name": item.title,
        "has_conflicting_ends": item.has_conflicting_ends,
        "status_changed_at": _iso(item.status_changed_at),
        "price_first_seen": _usd(item.first_price),
        "price_latest": _usd(item.price),
        "evidence": _evidence_name(item.status_delivery_id, item.status_read_id),
    }


def _cancellations(item: Item) -> Iterable[Cancellation]:
    return item.cancellations.select_related("requested_by").prefetch_related("attempts").order_by("number")


def _cancellation(asked: Cancellation) -> Json:
    names = ("number", "state", "reason", "note", "answer_key", "answer_message", "answer_request_id")
    times = ("requested_at", "accepted_at", "changed_at", "ended_at")
    attempts: list[Attempt] = sorted(asked.attempts.all(), key=lambda attempt: attempt.number)
    return (
        {name: getattr(asked, name) for name in names}
        | {name: _iso(getattr(asked, name)) for name in times}
        | {"requested_by": asked.requested_by.email, "attempts": [_attempt(attempt) for attempt in attempts]}
    )


def _attempt(attempt: Attempt) -> Json:
    names = ("number", "outcome", "http_status", "key", "answer_request_id")
    return {name: getattr(attempt, name) for name in names} | {
        "request_id": str(attempt.request_id),
        "started_at": _iso(attempt.started_at),
        "answered_at": _iso(attempt.answered_at),
    }


def _refund(refund: Refund) -> Json:
    names = ("state", "ruling", "cause", "rule_version", "reference", "waived_reason", "set_reason", "entries_made")
    amounts = ("price", "amount", "loss", "net", "set_amount")
    times = ("opened_at", "changed_at", "confirmed_at", "waived_at", "contradicted_at")
    people = ("confirmed_by", "waived_by", "set_by")
    rules = RULES.get(refund.rule_version, ())
    return (
        {name: getattr(refund, name) for name in names}
        | {name: _usd(getattr(refund, name)) for name in amounts}
        | {name: _iso(getattr(refund, name)) for name in times}
        | {name: str(getattr(refund, name) or "") for name in people}
        | {
            "evidence": refund.evidence_name,
            "evidence_sha256": refund.evidence_sha256,
            "rules": [{"cause": str(rule.cause), "when": rule.when, "owed": rule.owed} for rule in rules],
            "ledger": [_ledger_row(row) for row in _ledger(refund)],
            "approvals": [_approval(approval) for approval in _approvals(refund)],
        }
    )


def _ledger(refund: Refund) -> Iterable[RefundEntry]:
    return refund.entries.select_related("actor", "approved_by").order_by("number")


def _ledger_row(row: RefundEntry) -> Json:
    names = ("number", "kind", "reference", "reason", "cause", "rule_version", "evidence_sha256")
    return {name: getattr(row, name) for name in names} | {
        "amount": _usd(row.amount),
        "made_at": _iso(row.made_at),
        "actor": row.actor.email,
        "approved_by": str(row.approved_by or ""),
        "evidence": _evidence_name(row.evidence_delivery_id, row.evidence_read_id),
    }


def _approvals(refund: Refund) -> Iterable[RefundApproval]:
    return refund.approvals.select_related("asked_by", "ended_by").order_by("number")


def _approval(approval: RefundApproval) -> Json:
    names = ("number", "state", "reference", "shown", "fingerprint", "ended_reason")
    return {name: getattr(approval, name) for name in names} | {
        "asked_by": approval.asked_by.email,
        "asked_at": _iso(approval.asked_at),
        "expires_at": _iso(approval.expires_at),
        "ended_by": str(approval.ended_by or ""),
        "ended_at": _iso(approval.ended_at),
    }


def _documents(item: Item, refund: Refund | None) -> tuple[list[Json], bool]:
    """Callbacks and reads of the trade, newest left out last, and whether any was."""
    token = _token_of(item.trade.client_trade_url or "")
    wanted = {"delivery": {item.status_delivery_id}, "read": {item.status_read_id}}
    if refund is not None:
        wanted["delivery"].add(refund.evidence_delivery_id)
        wanted["read"].add(refund.evidence_read_id)
    found: list[tuple[datetime, Json]] = []
    left_out = False
    deliveries = Delivery.objects.filter(trade=item.trade_id).order_by("-received_at", "-pk")
    reads = Read.objects.filter(trade=item.trade_id).order_by("-read_at", "-pk")
    for kind, rows in (("delivery", deliveries), ("read", reads)):
        newest = list(rows.values_list("pk", flat=True)[: MOST_DOCUMENTS + 1])
        left_out = left_out or len(newest) > MOST_DOCUMENTS
        keys = set(newest[:MOST_DOCUMENTS]) | {key for key in wanted[kind] if key is not None}
        for row in rows.model._default_manager.filter(pk__in=keys).order_by("pk"):
            found.append(_delivery(row, token) if isinstance(row, Delivery) else _read(row, token))
    return [document for _, document in sorted(found, key=lambda pair: pair[0])], left_out


def _delivery(row: Delivery, token: str) -> tuple[datetime, Json]:
    body = bytes(row.body).decode("utf-8", errors="replace")
    facts: Json = {
        "document": f"delivery:{row.pk}",
        "came_as": "verified callback",
        "delivery_id": row.delivery_id,
        "signed_at": _iso(row.signed_at),
        "received_at": _iso(row.received_at),
        "times_received": row.times_received,
        "verdict": row.verdict,
        "problem": row.problem,
    }
    return row.received_at, facts | _masked(body, row.body_sha256, token)


def _read(row: Read, token: str) -> tuple[datetime, Json]:
    facts: Json = {"document": f"read:{row.pk}", "came_as": row.get_route_display(), "received_at": _iso(row.read_at)}
    return row.read_at, facts | _masked(row.document, row.body_sha256, token)


def _masked(text: str, sha256: str, token: str) -> Json:
    shown = mask_tokens(text)
    if token:
        shown = shown.replace(token, MASK)
    return {
        "sha256_as_received": sha256,
        "text": shown,
        "sha256_of_text": hashlib.sha256(shown.encode()).hexdigest(),
        "is_masked": shown != text,
    }


def _token_of(trade_url: str) -> str:
    found = parse_qs(urlsplit(trade_url).query).get("token", [""])[0]
    return found if len(found) >= 6 else ""


def _entry(entry: AuditEntry) -> Json:
    """All that its hash covers, so that a verifier can compute it."""
    names = (
        "number",
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
        "previous_hash",
        "hash",
    )
    return {name: getattr(entry, name) for name in names} | {"at": entry.at.isoformat(timespec="microseconds")}


def _evidence_name(delivery: int | None, read: int | None) -> str:
    if delivery is not None:
        return f"delivery:{delivery}"
    return f"read:{read}" if read is not None else ""


def _usd(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:.4f}"


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds")
