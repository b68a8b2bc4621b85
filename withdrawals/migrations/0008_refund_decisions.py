"""Second person, waivers, amounts set by a person, a fuller ledger, the wallet's readings."""

from typing import Any

import django.db.models.deletion
import django.db.models.expressions
import django.db.models.lookups
from django.conf import settings
from django.db import migrations, models
from django.db.models import F

import withdrawals.models.money
from withdrawals.models.audit_triggers import drop_triggers

# What version 1 of the rules said of each cause; whatever else it knew was owed in full.
RULED_BY_VERSION_1 = {
    "in_review": ["conflicting_ends", "price_unknown", "declined", "approval_timeout", "reverted_by_user"],
    "not_owed": ["never_charged"],
}


def fill_new_columns(apps: Any, schema_editor: Any) -> None:
    """What version 1 decided, in the new columns. The ledger's triggers come back after every migrate."""
    connection = schema_editor.connection
    drop_triggers(connection)
    refunds = apps.get_model("withdrawals", "Refund").objects.using(connection.alias)
    refunds.update(price=F("amount"))
    for ruling, causes in RULED_BY_VERSION_1.items():
        refunds.filter(cause__in=causes).update(ruling=ruling)
    for refund in refunds.filter(state="confirmed").only("reference").iterator():
        refunds.filter(pk=refund.pk).update(entries_made=1, reference_key=_reference_key(refund.reference))
    entries = apps.get_model("withdrawals", "RefundEntry").objects.using(connection.alias)
    for entry in entries.select_related("refund").iterator():
        entries.filter(pk=entry.pk).update(
            cause=entry.refund.cause,
            rule_version=entry.refund.rule_version,
            reference_key=_reference_key(entry.reference),
            evidence_delivery=entry.refund.evidence_delivery_id,
            evidence_read=entry.refund.evidence_read_id,
        )
    if connection.vendor == "postgresql":
        # Nothing may be pending when the constraints are added below.
        schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def _reference_key(reference: str) -> str:
    return "".join(reference.split()).casefold()


class Migration(migrations.Migration):
    dependencies = [
        ("withdrawals", "0007_presence"),
    ]

    operations = [
        migrations.CreateModel(
            name="RefundApproval",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Waiting"),
                            ("approved", "Approved"),
                            ("sent_back", "Sent back"),
                            ("void", "Void: something changed"),
                            ("expired", "Expired"),
                        ],
                        default="open",
                        max_length=16,
                    ),
                ),
                ("reference", models.CharField(max_length=200)),
                ("shown", models.JSONField()),
                ("fingerprint", models.CharField(max_length=64)),
                ("asked_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("ended_reason", models.CharField(blank=True, default="", max_length=500)),
            ],
        ),
        migrations.CreateModel(
            name="WalletReading",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("read_at", models.DateTimeField()),
                ("last_read_at", models.DateTimeField(db_index=True)),
                ("balance", withdrawals.models.money.UsdField(null=True)),
                ("pending_balance", withdrawals.models.money.UsdField(null=True)),
                ("escrow_balance", withdrawals.models.money.UsdField(null=True)),
                ("currency", models.CharField(blank=True, default="", max_length=16)),
                ("failure", models.CharField(blank=True, default="", max_length=300)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="refund",
            name="refund_state_known",
        ),
        migrations.AddField(
            model_name="refund",
            name="entries_made",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="refund",
            name="loss",
            field=withdrawals.models.money.UsdField(null=True),
        ),
        migrations.AddField(
            model_name="refund",
            name="price",
            field=withdrawals.models.money.UsdField(null=True),
        ),
        migrations.AddField(
            model_name="refund",
            name="reference_key",
            field=models.CharField(blank=True, default="", max_length=600),
        ),
        migrations.AddField(
            model_name="refund",
            name="ruling",
            field=models.CharField(
                choices=[
                    ("due", "Due"),
                    ("in_review", "In review"),
                    ("awaiting", "Awaiting a second person"),
                    ("confirmed", "Confirmed"),
                    ("waived", "Waived"),
                    ("not_owed", "Not owed"),
                ],
                default="due",
                max_length=16,
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="refund",
            name="set_amount",
            field=withdrawals.models.money.UsdField(null=True),
        ),
        migrations.AddField(
            model_name="refund",
            name="set_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="refund",
            name="set_reason",
            field=models.CharField(blank=True, default="", max_length=500),
        ),
        migrations.AddField(
            model_name="refund",
            name="waived_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="refund",
            name="waived_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="refund",
            name="waived_reason",
            field=models.CharField(blank=True, default="", max_length=500),
        ),
        migrations.AddField(
            model_name="refundentry",
            name="approved_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="refundentry",
            name="cause",
            field=models.CharField(
                choices=[
                    ("our_cancel", "Came back after our cancel"),
                    ("supplier", "The supplier undid it"),
                    ("auto_cancel", "AssetPay gave up on the seller"),
                    ("undone", "Came back undone"),
                    ("canceled", "Canceled at AssetPay"),
                    ("failed", "The purchase failed"),
                    ("declined", "The customer declined the offer"),
                    ("reverted_by_user", "The customer reversed the Steam trade"),
                    ("reverted_after_delivery", "Reversed after the customer had it"),
                    ("approval_timeout", "AssetPay got no approval in time"),
                    ("never_charged", "Rejected before the customer was charged"),
                    ("conflicting_ends", "AssetPay reported two different ends"),
                    ("latest_disagrees", "AssetPay's latest word is another"),
                    ("price_unknown", "No price was ever reported"),
                ],
                default="undone",
                max_length=32,
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="refundentry",
            name="evidence_delivery",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="withdrawals.delivery"
            ),
        ),
        migrations.AddField(
            model_name="refundentry",
            name="evidence_read",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="withdrawals.read"
            ),
        ),
        migrations.AddField(
            model_name="refundentry",
            name="reason",
            field=models.CharField(blank=True, default="", max_length=500),
        ),
        migrations.AddField(
            model_name="refundentry",
            name="reference_key",
            field=models.CharField(db_index=True, default="", max_length=600),
        ),
        migrations.AddField(
            model_name="refundentry",
            name="rule_version",
            field=models.PositiveSmallIntegerField(default=1),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="trade",
            name="answered_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name="refund",
            name="cause",
            field=models.CharField(
                choices=[
                    ("our_cancel", "Came back after our cancel"),
                    ("supplier", "The supplier undid it"),
                    ("auto_cancel", "AssetPay gave up on the seller"),
                    ("undone", "Came back undone"),
                    ("canceled", "Canceled at AssetPay"),
                    ("failed", "The purchase failed"),
                    ("declined", "The customer declined the offer"),
                    ("reverted_by_user", "The customer reversed the Steam trade"),
                    ("reverted_after_delivery", "Reversed after the customer had it"),
                    ("approval_timeout", "AssetPay got no approval in time"),
                    ("never_charged", "Rejected before the customer was charged"),
                    ("conflicting_ends", "AssetPay reported two different ends"),
                    ("latest_disagrees", "AssetPay's latest word is another"),
                    ("price_unknown", "No price was ever reported"),
                ],
                max_length=32,
            ),
        ),
        migrations.AlterField(
            model_name="refund",
            name="state",
            field=models.CharField(
                choices=[
                    ("due", "Due"),
                    ("in_review", "In review"),
                    ("awaiting", "Awaiting a second person"),
                    ("confirmed", "Confirmed"),
                    ("waived", "Waived"),
                    ("not_owed", "Not owed"),
                ],
                max_length=16,
            ),
        ),
        migrations.RunPython(fill_new_columns, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="refund",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["due", "in_review", "awaiting", "confirmed", "waived", "not_owed"])),
                name="refund_state_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="refund",
            constraint=models.CheckConstraint(
                condition=models.Q(("ruling__in", ("due", "in_review", "not_owed"))), name="refund_ruling_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="refund",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("amount", None),
                    ("price", None),
                    ("price", 0),
                    models.Q(("amount__gt", 0), ("amount__lte", models.F("price"))),
                    _connector="OR",
                ),
                name="refund_amount_within_price",
            ),
        ),
        migrations.AddConstraint(
            model_name="refund",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "waived"), _negated=True),
                    models.Q(
                        ("waived_at__isnull", False),
                        ("waived_by__isnull", False),
                        models.Q(("waived_reason", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="waived_refund_has_who_when_and_why",
            ),
        ),
        migrations.AddConstraint(
            model_name="refundentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        django.db.models.lookups.Exact(
                            django.db.models.expressions.CombinedExpression(models.F("number"), "%%", models.Value(2)),
                            1,
                        ),
                        ("kind", "confirmation"),
                    ),
                    models.Q(
                        django.db.models.lookups.Exact(
                            django.db.models.expressions.CombinedExpression(models.F("number"), "%%", models.Value(2)),
                            0,
                        ),
                        ("kind", "compensation"),
                    ),
                    _connector="OR",
                ),
                name="refund_entries_alternate",
            ),
        ),
        migrations.AddConstraint(
            model_name="refundentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("approved_by", None), models.Q(("approved_by", models.F("actor")), _negated=True), _connector="OR"
                ),
                name="refund_entry_has_two_people",
            ),
        ),
        migrations.AddConstraint(
            model_name="refundentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "compensation"), _negated=True),
                    models.Q(("reason", ""), _negated=True),
                    _connector="OR",
                ),
                name="compensation_has_a_reason",
            ),
        ),
        migrations.AddField(
            model_name="refundapproval",
            name="asked_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="refundapproval",
            name="ended_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="refundapproval",
            name="refund",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="approvals", to="withdrawals.refund"
            ),
        ),
        migrations.AddConstraint(
            model_name="walletreading",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("failure", ""), _negated=True),
                    models.Q(
                        ("balance__isnull", False),
                        ("escrow_balance__isnull", False),
                        ("pending_balance__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="wallet_reading_has_balances_or_a_failure",
            ),
        ),
        migrations.AddIndex(
            model_name="refundapproval",
            index=models.Index(fields=["state", "expires_at"], name="refund_approval_by_expiry"),
        ),
        migrations.AddConstraint(
            model_name="refundapproval",
            constraint=models.UniqueConstraint(fields=("refund", "number"), name="refund_approvals_are_numbered"),
        ),
        migrations.AddConstraint(
            model_name="refundapproval",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "open")), fields=("refund",), name="one_open_approval_per_refund"
            ),
        ),
        migrations.AddConstraint(
            model_name="refundapproval",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["open", "approved", "sent_back", "void", "expired"])),
                name="refund_approval_state_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="refundapproval",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at", None), ("state", "open")),
                    models.Q(models.Q(("state", "open"), _negated=True), ("ended_at__isnull", False)),
                    _connector="OR",
                ),
                name="ended_refund_approval_has_an_end",
            ),
        ),
        migrations.AddConstraint(
            model_name="refundapproval",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "approved"), _negated=True),
                    models.Q(("ended_by__isnull", False), models.Q(("ended_by", models.F("asked_by")), _negated=True)),
                    _connector="OR",
                ),
                name="nobody_approves_their_own_refund",
            ),
        ),
    ]
