"""Tables, constraints, querysets, and every rule about one row."""

from withdrawals.models.alarm import Alarm, AlarmKind
from withdrawals.models.audit import AuditEntry, AuditHead, Source
from withdrawals.models.cancellation import Attempt, AttemptOutcome, Cancellation, CancellationState
from withdrawals.models.delivery import Delivery, RejectedCall, Verdict
from withdrawals.models.item import Item, Refusal, Rule
from withdrawals.models.read import Evidence, Read, Route
from withdrawals.models.read_state import ReadState
from withdrawals.models.refund import EntryKind, Refund, RefundEntry
from withdrawals.models.refund_approval import ApprovalState, RefundApproval
from withdrawals.models.refund_rules import RefundCause, RefundState, refund_terms
from withdrawals.models.send_permit import SendBudget, SendPermit
from withdrawals.models.sighting import Sighting
from withdrawals.models.status import Status
from withdrawals.models.trade import Game, Trade
from withdrawals.models.user import ROLE_PERMISSIONS, Role, User
from withdrawals.models.wallet import WalletReading

__all__ = [
    "ROLE_PERMISSIONS",
    "Alarm",
    "AlarmKind",
    "ApprovalState",
    "Attempt",
    "AttemptOutcome",
    "AuditEntry",
    "AuditHead",
    "Cancellation",
    "CancellationState",
    "Delivery",
    "EntryKind",
    "Evidence",
    "Game",
    "Item",
    "Read",
    "ReadState",
    "Refund",
    "RefundApproval",
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
    "WalletReading",
    "refund_terms",
]
