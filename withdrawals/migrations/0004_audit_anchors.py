"""Anchors and checks of the audit log, saved views, and the indexes by which the log is looked through."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("withdrawals", "0003_permissions"),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditAnchor",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.BigIntegerField()),
                ("hash", models.CharField(max_length=64)),
                (
                    "place",
                    models.CharField(choices=[("file", "File"), ("email", "Mail"), ("slack", "Slack")], max_length=8),
                ),
                ("sent_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="AuditCheck",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("asked_at", models.DateTimeField()),
                ("changed_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("is_open", models.BooleanField(default=True)),
                ("number", models.BigIntegerField(default=0)),
                (
                    "hash",
                    models.CharField(
                        default="0000000000000000000000000000000000000000000000000000000000000000", max_length=64
                    ),
                ),
                ("anchored", models.BigIntegerField(default=0)),
                ("target", models.BigIntegerField()),
                (
                    "kind",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("edited", "Edited"),
                            ("missing", "Missing"),
                            ("inserted", "Inserted"),
                            ("tail_cut", "Tail cut"),
                            ("rewritten", "Rewritten"),
                        ],
                        default="",
                        max_length=16,
                    ),
                ),
                ("bad_number", models.BigIntegerField(null=True)),
                ("problem", models.CharField(blank=True, default="", max_length=300)),
            ],
        ),
        migrations.CreateModel(
            name="SavedView",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "saved_list",
                    models.CharField(
                        choices=[
                            ("item_list", "Items"),
                            ("trade_list", "Trades"),
                            ("cancellation_list", "Cancellations"),
                            ("refund_list", "Refunds"),
                            ("delivery_list", "Callbacks"),
                            ("audit_list", "Audit log"),
                        ],
                        max_length=32,
                    ),
                ),
                ("name", models.CharField(max_length=60)),
                ("query", models.CharField(blank=True, default="", max_length=1000)),
                ("is_shared", models.BooleanField(default=False)),
                ("saved_at", models.DateTimeField()),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="alarm",
            name="alarm_kind_known",
        ),
        migrations.AlterField(
            model_name="alarm",
            name="kind",
            field=models.CharField(
                choices=[
                    ("approvals_here", "AssetPay sends approvals to this desk"),
                    ("wrong_secret", "Callbacks fail their signature check"),
                    ("clock_skew", "This machine's clock and AssetPay's differ"),
                    ("callbacks_missed", "AssetPay's callbacks do not all arrive"),
                    ("callbacks_silent", "No callback has come for longer than usual"),
                    ("callbacks_disabled", "AssetPay says that the callback address is refused or disabled"),
                    ("deliveries_stuck", "Callbacks were kept but not understood, or failed here"),
                    ("reads_failing", "AssetPay cannot be asked"),
                    ("anchors_failing", "The audit log's anchors do not arrive"),
                    ("log_tampered", "The audit log was tampered with"),
                ],
                max_length=32,
            ),
        ),
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(fields=["item", "number"], name="audit_of_item"),
        ),
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(fields=["actor", "number"], name="audit_of_person"),
        ),
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(fields=["cause"], name="audit_of_cause"),
        ),
        migrations.AddConstraint(
            model_name="alarm",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "kind__in",
                        [
                            "approvals_here",
                            "wrong_secret",
                            "clock_skew",
                            "callbacks_missed",
                            "callbacks_silent",
                            "callbacks_disabled",
                            "deliveries_stuck",
                            "reads_failing",
                            "anchors_failing",
                            "log_tampered",
                        ],
                    )
                ),
                name="alarm_kind_known",
            ),
        ),
        migrations.AddIndex(
            model_name="auditanchor",
            index=models.Index(fields=["number"], name="anchor_by_number"),
        ),
        migrations.AddIndex(
            model_name="auditanchor",
            index=models.Index(fields=["place", "-sent_at"], name="anchor_by_place"),
        ),
        migrations.AddConstraint(
            model_name="auditanchor",
            constraint=models.UniqueConstraint(
                fields=("place", "number", "hash"), name="one_anchor_per_place_and_head"
            ),
        ),
        migrations.AddConstraint(
            model_name="auditanchor",
            constraint=models.CheckConstraint(
                condition=models.Q(("place__in", ["file", "email", "slack"])), name="anchor_place_known"
            ),
        ),
        migrations.AddField(
            model_name="auditcheck",
            name="asked_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="savedview",
            name="owner",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="saved_views", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddConstraint(
            model_name="auditcheck",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_open", True)), fields=("is_open",), name="one_open_audit_check"
            ),
        ),
        migrations.AddConstraint(
            model_name="auditcheck",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at", None), ("is_open", True)),
                    models.Q(("ended_at__isnull", False), ("is_open", False)),
                    _connector="OR",
                ),
                name="ended_audit_check_has_an_end",
            ),
        ),
        migrations.AddConstraint(
            model_name="auditcheck",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["", "edited", "missing", "inserted", "tail_cut", "rewritten"])),
                name="audit_check_kind_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="savedview",
            constraint=models.UniqueConstraint(
                fields=("owner", "saved_list", "name"), name="one_view_per_owner_and_name"
            ),
        ),
        migrations.AddConstraint(
            model_name="savedview",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "saved_list__in",
                        ["item_list", "trade_list", "cancellation_list", "refund_list", "delivery_list", "audit_list"],
                    )
                ),
                name="view_list_known",
            ),
        ),
    ]
