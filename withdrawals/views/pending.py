"""What is still open: who must act, and what is usual."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext

from withdrawals.models import Attempt, AttemptOutcome, Cancellation, CancellationState
from withdrawals.models.usual import LOOKED_AT, Usual, usual
from withdrawals.views.charts import span_words


@dataclass(frozen=True)
class Customs:
    """What is usual here: from asking AssetPay until its answer, and from its yes until the item's end."""

    answer: Usual | None
    end: Usual | None


def customs() -> Customs:
    """From the last cases of our own, in two queries."""
    answered = Attempt.objects.filter(outcome=AttemptOutcome.ACCEPTED).order_by("-pk")
    ended = Cancellation.objects.filter(state=CancellationState.CONFIRMED, accepted_at__isnull=False).order_by("-pk")
    return Customs(
        usual(answered.values_list("started_at", "answered_at")[:LOOKED_AT]),
        usual(ended.values_list("accepted_at", "ended_at")[:LOOKED_AT]),
    )


def pending_words(asked: Cancellation, customs: Customs, now: datetime) -> str:
    """Who must act on an open cancellation and what is usual; empty for one that has ended."""
    match asked.state:
        case CancellationState.SCHEDULED | CancellationState.REQUESTED if asked.needs_person:
            return gettext("Somebody must act: have it tried again, or take it back. Nothing leaves by itself.")
        case CancellationState.SCHEDULED if asked.send_from <= now:
            return gettext("The desk looks at AssetPay afresh when its turn comes, then sends it. Nobody needs to act.")
        case CancellationState.SCHEDULED:
            return gettext("The desk sends it once AssetPay's window opens. Nobody needs to act.")
        case CancellationState.REQUESTED:
            return _together(
                gettext("The desk sends it by itself. Nobody needs to act."), gettext("The answer"), customs.answer
            )
        case CancellationState.SENDING:
            return _together(
                gettext("AssetPay must answer. Nobody here needs to act."), gettext("The answer"), customs.answer
            )
        case CancellationState.ACCEPTED:
            return _accepted(asked, customs, now)
        case CancellationState.UNCERTAIN if asked.is_asked_again:
            return gettext("The answer was lost; the desk asks once more by itself. Nobody needs to act yet.")
        case CancellationState.UNCERTAIN:
            return gettext(
                "Somebody must look: check with AssetPay. If that does not tell, a supervisor settles it. "
                "Do not tell the customer that it was undone."
            )
    return ""


def _accepted(asked: Cancellation, customs: Customs, now: datetime) -> str:
    is_overdue = customs.end and asked.accepted_at and now - asked.accepted_at > customs.end.within
    whose = (
        gettext("This takes longer than usual: check with AssetPay.")
        if is_overdue
        else gettext("Nobody here needs to act.")
    )
    return _together(
        gettext("AssetPay asked the supplier, who must give the item back. {whose}").format(whose=whose),
        gettext("The end"),
        customs.end,
    )


def _together(who: str, what: str, known: Usual | None) -> str:
    if known is None:
        return who
    return gettext("{who} {what} usually comes within {within}, from the last {cases} cases.").format(
        who=who, what=what, within=span_words(known.within), cases=known.cases
    )
