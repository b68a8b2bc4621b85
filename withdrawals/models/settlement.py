"""A settlement: a person's word that a cancellation whose end never came was not done."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext, gettext_lazy

from withdrawals.models.cancellation import Cancellation
from withdrawals.models.refund import Shown, fingerprint_of


class SettledAs(models.TextChoices):
    """What a person may settle. "Done" is not among them: only AssetPay's word ends an item undone."""

    NOT_DONE = "not_done", gettext_lazy("Not done")


class Settlement(models.Model):
    """One decision, with the evidence for it or a second person; each cancellation is settled at most once.

    Without evidence it is a proposal until somebody else approves it.
    """

    cancellation = models.OneToOneField(Cancellation, on_delete=models.PROTECT, related_name="settlement")
    outcome = models.CharField(max_length=16, choices=SettledAs, default=SettledAs.NOT_DONE)
    note = models.TextField()
    # Hash of what the first person saw (`shown_to_settle`): once that has changed, nobody can approve it any more.
    fingerprint = models.CharField(max_length=64, blank=True, default="", db_default="")
    # What showed that the item was still open after the last request; empty where a second person stands for it.
    evidence = models.CharField(max_length=300, blank=True, default="")
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(outcome__in=SettledAs.values), name="settled_as_known"),
            models.CheckConstraint(
                condition=Q(settled_at=None) | ~Q(evidence="") | Q(approved_by__isnull=False),
                name="settled_by_evidence_or_two_people",
            ),
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=F("proposed_by")), name="nobody_approves_their_own_word"
            ),
        ]

    def __str__(self) -> str:
        return f"settlement of cancellation {self.cancellation_id}"

    @property
    def seal(self) -> str:
        """Hash of what the second person approves: what the first one saw, and their word on it."""
        return fingerprint_of(
            {
                "saw": self.fingerprint,
                "proposed_by": self.proposed_by_id,
                "proposed_at": self.proposed_at.isoformat(),
                "outcome": str(self.outcome),
                "note": self.note,
            }
        )

    def void_because(self) -> str:
        """Why nobody can approve this proposal any more, so that it is proposed anew; empty where it stands."""
        if not self.proposed_by.may("settle_cancellation"):
            return gettext("{who}, who proposed this, may settle nothing any more: it has to be proposed anew.").format(
                who=self.proposed_by
            )
        if self.fingerprint != fingerprint_to_settle(self.cancellation):
            return gettext("What this was proposed on has changed since: it has to be proposed anew.")
        return ""


def shown_to_settle(cancellation: Cancellation) -> Shown:
    """What a person decides on who settles a cancellation (its item loaded): its state, AssetPay's words, the item.

    A later look that shows the item open as before is no change: the desk looks every minute.
    """
    last = cancellation.last_asked_at
    item = cancellation.item
    return {
        "cancellation": cancellation.pk,
        "state": str(cancellation.state),
        "changed_at": cancellation.changed_at.isoformat(),
        "claim": cancellation.claim,
        "last_asked_at": last.isoformat() if last else None,
        "answer": f"{cancellation.answer_key} {cancellation.answer_message} {cancellation.answer_request_id}",
        "needs_person": cancellation.needs_person,
        "item_status": item.status,
        "latest_status": item.reported_status,
    }


def fingerprint_to_settle(cancellation: Cancellation) -> str:
    """Hash of `shown_to_settle`. The form carries it back, and a proposal is bound to it."""
    return fingerprint_of(shown_to_settle(cancellation))
