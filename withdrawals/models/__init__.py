"""Tables, constraints, querysets, and every rule about one row."""

from withdrawals.models.alarm import Alarm, AlarmKind
from withdrawals.models.audit import AuditEntry, AuditHead, Source
from withdrawals.models.audit_anchor import AnchorPlace, AuditAnchor
from withdrawals.models.audit_chain import Anchor, TamperKind
from withdrawals.models.audit_check import AuditCheck
from withdrawals.models.batch import Batch, BatchItem, BatchState, Tally
from withdrawals.models.cancellation import Attempt, AttemptOutcome, Cancellation, CancellationState, Lane
from withdrawals.models.delivery import Delivery, RejectedCall, Verdict
from withdrawals.models.heartbeat import Beating, Heartbeat
from withdrawals.models.invariant import InvariantResult
from withdrawals.models.item import Item, Refusal, Rule
from withdrawals.models.item_tally import Counts, ItemTally, count_desk, count_desk_and
from withdrawals.models.note import Note
from withdrawals.models.presence import Presence
from withdrawals.models.read import Evidence, Read, Route
from withdrawals.models.read_state import ReadState
from withdrawals.models.refund import EntryKind, Refund, RefundEntry
from withdrawals.models.refund_approval import ApprovalState, RefundApproval
from withdrawals.models.refund_rules import RefundCause, RefundState, refund_terms
from withdrawals.models.saved_view import SavedList, SavedView
from withdrawals.models.send_permit import SendBudget, SendPermit
from withdrawals.models.settlement import SettledAs, Settlement
from withdrawals.models.sighting import Sighting
from withdrawals.models.status import Status
from withdrawals.models.trade import Game, Trade
from withdrawals.models.user import ROLE_PERMISSIONS, Role, User
from withdrawals.models.wallet import WalletReading

__all__ = [
    "ROLE_PERMISSIONS",
    "Alarm",
    "AlarmKind",
    "Anchor",
    "AnchorPlace",
    "ApprovalState",
    "Attempt",
    "AttemptOutcome",
    "AuditAnchor",
    "AuditCheck",
    "AuditEntry",
    "AuditHead",
    "Batch",
    "BatchItem",
    "BatchState",
    "Beating",
    "Cancellation",
    "CancellationState",
    "Counts",
    "Delivery",
    "EntryKind",
    "Evidence",
    "Game",
    "Heartbeat",
    "InvariantResult",
    "Item",
    "ItemTally",
    "Lane",
    "Note",
    "Presence",
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
    "SavedList",
    "SavedView",
    "SendBudget",
    "SendPermit",
    "SettledAs",
    "Settlement",
    "Sighting",
    "Source",
    "Status",
    "Tally",
    "TamperKind",
    "Trade",
    "User",
    "Verdict",
    "WalletReading",
    "count_desk",
    "count_desk_and",
    "refund_terms",
]
