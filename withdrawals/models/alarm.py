"""An alarm: something that a person must know before an agent notices. It clears itself when its cause is gone."""

from typing import Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy


class AlarmKind(models.TextChoices):
    """What can be wrong with what comes in; the labels are the headlines of the banner."""

    APPROVALS_HERE = "approvals_here", gettext_lazy("AssetPay sends approvals to this desk")
    WRONG_SECRET = "wrong_secret", gettext_lazy("Callbacks fail their signature check")
    CLOCK_SKEW = "clock_skew", gettext_lazy("This machine's clock and AssetPay's differ")
    CALLBACKS_MISSED = "callbacks_missed", gettext_lazy("AssetPay's callbacks do not all arrive")
    CALLBACKS_SILENT = "callbacks_silent", gettext_lazy("No callback has come for longer than usual")
    CALLBACKS_DISABLED = (
        "callbacks_disabled",
        gettext_lazy("AssetPay says that the callback address is refused or disabled"),
    )
    DELIVERIES_STUCK = "deliveries_stuck", gettext_lazy("Callbacks were kept but not understood, or failed here")
    READS_FAILING = "reads_failing", gettext_lazy("AssetPay cannot be asked")
    ANCHORS_FAILING = "anchors_failing", gettext_lazy("The audit log's anchors do not arrive")
    LOG_TAMPERED = "log_tampered", gettext_lazy("The audit log was tampered with")


# What each means and what to do, for whoever looks.
ADVICE = {
    AlarmKind.APPROVALS_HERE: (
        gettext_lazy(
            "This desk answers every approval 503, so withdrawals are rejected after three tries. In AssetPay's "
            "settings, point the callback address back at your own backend, and let that pass a copy on to this "
            "desk. If the calls come from your backend's own address, nothing was rejected: its forwarder or a "
            "proxy drops the copy's mark."
        )
    ),
    AlarmKind.WRONG_SECRET: (
        gettext_lazy(
            "Calls that look like AssetPay's carry a signature that none of our secrets made. Was the API secret "
            "changed at AssetPay? Put the new one first in ASSETPAY_API_SECRETS, keep the old one behind it, and "
            "restart."
        )
    ),
    AlarmKind.CLOCK_SKEW: (
        gettext_lazy(
            "The time that AssetPay signs and our own are far apart. Beyond five minutes callbacks are refused as"
            " coming from the future. Set this machine's clock (NTP)."
        )
    ),
    AlarmKind.CALLBACKS_MISSED: (
        gettext_lazy(
            "Reading trades back showed changes that no callback announced. The mirror is right, because it "
            "reads; look whether the backend's forwarder drops copies."
        )
    ),
    AlarmKind.CALLBACKS_SILENT: (
        gettext_lazy(
            "Callbacks usually come more often than this. Look whether the backend and its forwarder run, and "
            "whether AssetPay still has the right address."
        )
    ),
    AlarmKind.CALLBACKS_DISABLED: (
        gettext_lazy(
            "AssetPay answered a call with a key that says so. Look at the callback address in AssetPay's "
            "settings; without a working one every withdrawal fails."
        )
    ),
    AlarmKind.DELIVERIES_STUCK: gettext_lazy(
        "Open the callbacks that are marked, read what is wrong, and replay them once mended."
    ),
    AlarmKind.READS_FAILING: (
        gettext_lazy(
            "The last reads of trades failed. Callbacks still arrive, but what they miss is not healed until "
            "reads work."
        )
    ),
    AlarmKind.ANCHORS_FAILING: (
        gettext_lazy(
            "The head of the audit log should be sent off this machine every minute, and was not. Until it is, a "
            "rewritten log could not be told from the true one. Look at the place named here: its disk, its "
            "mailbox or its channel."
        )
    ),
    AlarmKind.LOG_TAMPERED: (
        gettext_lazy(
            "The last check of the audit log found an entry that does not fit. Somebody with the keys of the "
            "database changed it past this desk. Keep the database as it is, take a copy, and compare it with the"
            " last export and the anchors; the audit log's page names the entry."
        )
    ),
}


class AlarmQuerySet(models.QuerySet["Alarm"]):
    """Reads of alarms."""

    def ringing(self) -> Self:
        """Those whose cause still stands, oldest first."""
        return self.filter(cleared_at=None).order_by("raised_at", "pk")


class Alarm(models.Model):
    """One time that something was wrong, from when to when."""

    kind = models.CharField(max_length=32, choices=AlarmKind)
    detail = models.CharField(max_length=500)
    raised_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True)
    notified_at = models.DateTimeField(null=True)

    objects = AlarmQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind"], condition=Q(cleared_at=None), name="one_ringing_alarm_per_kind"),
            models.CheckConstraint(condition=Q(kind__in=AlarmKind.values), name="alarm_kind_known"),
        ]

    def __str__(self) -> str:
        return self.get_kind_display()

    @property
    def advice(self) -> str:
        """What it means and what to do."""
        return str(ADVICE[AlarmKind(self.kind)])
