"""Tables, constraints, querysets, and every rule about one row."""

from withdrawals.models.alarm import Alarm, AlarmKind
from withdrawals.models.audit import AuditEntry, AuditHead, Source
from withdrawals.models.batch import Batch, BatchItem, BatchState, Tally
from withdrawals.models.cancellation import Attempt, AttemptOutcome, Cancellation, CancellationState, Lane
from withdrawals.models.delivery import Delivery, RejectedCall, Verdict
from withdrawals.models.item import Item, Refusal, Rule
from withdrawals.models.presence import Presence
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
from withdrawals.models.settlement import SettledAs, Settlement
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
    "Batch",
    "BatchItem",
    "BatchState",
    "Cancellation",
    "CancellationState",
    "Delivery",
    "EntryKind",
    "Evidence",
    "Game",
    "Item",
    "Lane",
    "Presence",
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
    "SettledAs",
    "Settlement",
    "Sighting",
    "Source",
    "Status",
    "Tally",
    "Trade",
    "User",
    "Verdict",
    "refund_terms",
]
