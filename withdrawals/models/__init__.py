"""Tables, constraints, querysets, and every rule about one row."""

from withdrawals.models.alarm import Alarm, AlarmKind
from withdrawals.models.audit import AuditEntry, AuditHead, Source
from withdrawals.models.cancellation import Attempt, AttemptOutcome, Cancellation, CancellationState
from withdrawals.models.delivery import Delivery, RejectedCall, Verdict
from withdrawals.models.heartbeat import Beating, Heartbeat
from withdrawals.models.invariant import InvariantResult
from withdrawals.models.item import Item, Refusal, Rule
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
from withdrawals.models.send_permit import SendBudget, SendPermit
from withdrawals.models.sighting import Sighting
from withdrawals.models.status import Status
from withdrawals.models.trade import Game, Trade
from withdrawals.models.user import ROLE_PERMISSIONS, Role, User

__all__ = [
    "ROLE_PERMISSIONS",
    "Alarm",
    "AlarmKind",
    "Attempt",
    "AttemptOutcome",
    "AuditEntry",
    "AuditHead",
    "Beating",
    "Cancellation",
    "CancellationState",
    "Delivery",
    "EntryKind",
    "Evidence",
    "Game",
    "Heartbeat",
    "InvariantResult",
    "Item",
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
    "SendBudget",
    "SendPermit",
    "Sighting",
    "Source",
    "Status",
    "Trade",
    "User",
    "Verdict",
    "refund_terms",
]
