"""Tables, constraints, querysets, and every rule about one row."""

from withdrawals.models.alarm import Alarm, AlarmKind
from withdrawals.models.audit import AuditEntry, AuditHead, Source
from withdrawals.models.audit_anchor import AnchorPlace, AuditAnchor
from withdrawals.models.audit_chain import Anchor, TamperKind
from withdrawals.models.audit_check import AuditCheck
from withdrawals.models.cancellation import Attempt, AttemptOutcome, Cancellation, CancellationState
from withdrawals.models.delivery import Delivery, RejectedCall, Verdict
from withdrawals.models.item import Item, Refusal, Rule
from withdrawals.models.note import Note
from withdrawals.models.read import Evidence, Read, Route
from withdrawals.models.read_state import ReadState
from withdrawals.models.refund import (
    EntryKind,
    Refund,
    RefundCause,
    RefundEntry,
    RefundState,
    refund_terms,
)
from withdrawals.models.saved_view import SavedList, SavedView
from withdrawals.models.send_permit import SendBudget, SendPermit
from withdrawals.models.sighting import Sighting
from withdrawals.models.status import Status
from withdrawals.models.trade import Game, Trade
from withdrawals.models.user import ROLE_PERMISSIONS, Role, User

__all__ = [
    "ROLE_PERMISSIONS",
    "Alarm",
    "AlarmKind",
    "Anchor",
    "AnchorPlace",
    "Attempt",
    "AttemptOutcome",
    "AuditAnchor",
    "AuditCheck",
    "AuditEntry",
    "AuditHead",
    "Cancellation",
    "CancellationState",
    "Delivery",
    "EntryKind",
    "Evidence",
    "Game",
    "Item",
    "Note",
    "Read",
    "ReadState",
    "Refund",
    "RefundCause",
    "RefundEntry",
    "RefundState",
    "Refusal",
    "RejectedCall",
    "Role",
    "Route",
    "Rule",
    "SavedList",
    "SavedView",
    "SendBudget",
    "SendPermit",
    "Sighting",
    "Source",
    "Status",
    "TamperKind",
    "Trade",
    "User",
    "Verdict",
    "refund_terms",
]
