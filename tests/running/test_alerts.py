"""The alert rules and the dashboard against the metrics that the desk really tells."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from withdrawals.actions.clock import beat
from withdrawals.actions.invariants import look_at_invariants
from withdrawals.models import Beating, ReadState

pytestmark = pytest.mark.any_database

PROJECT = Path(__file__).resolve().parents[2]
DEPLOY = PROJECT / "deploy"
# For each alert the figures that must ring it; everything else stays as on a desk that is well.
RINGING: dict[str, dict[str, float]] = {
    "DeskDown": {"up": 0},
    "ClockStopped": {'assetpay_admin_heartbeat_age_seconds{process="clock"}': 300},
    "WorkersStopped": {'assetpay_admin_heartbeat_age_seconds{process="worker"}': 300},
    "QueueStuck": {"assetpay_admin_queue_age_seconds": 900},
    "OutcomeUnknown": {'assetpay_admin_cancellations{state="uncertain"}': 1},
    "DeskAlarm": {'assetpay_admin_alarm_ringing{kind="wrong_secret"}': 1},
    "CallbacksLate": {"assetpay_admin_callback_lag_seconds": 90},
    "CallbacksFail": {'assetpay_admin_callbacks_last_hour{verdict="failed"}': 1},
    "ReconcileStopped": {"assetpay_admin_reconcile_age_seconds": 2_000},
    "ReconcileDrift": {"assetpay_admin_reconcile_drift": 20},
    "InvariantBroken": {'assetpay_admin_invariant_broken_rows{invariant="log-without-gap"}': 1},
    "InvariantsUnwatched": {"assetpay_admin_invariants_age_seconds": 5_000},
    "RefundsWait": {
        'assetpay_admin_refunds_oldest_seconds{state="due"}': 100_000,
        'assetpay_admin_refunds_owed{state="due"}': 1,
    },
}
# Must stay silent: full of work, but none of it stuck.
BUSY = {
    "assetpay_admin_queue_age_seconds": 900,
    "assetpay_admin_permits_used": 10,
    'assetpay_admin_refunds_owed{state="due"}': 40,
    'assetpay_admin_cancellations{state="requested"}': 200,
}


def alerts() -> list[str]:
    """The names of the rules, in order."""
    return re.findall(r"- alert: (\w+)", (DEPLOY / "alerts.yml").read_text())


def promtool() -> str:
    """Prometheus' own checker. Its absence skips a test, or fails it where REQUIRE_PROMTOOL=1 (`.ci/run` sets it)."""
    found = shutil.which("promtool")
    if found is None:
        if os.environ.get("REQUIRE_PROMTOOL") == "1":
            pytest.fail("REQUIRE_PROMTOOL=1, but no promtool: install the package prometheus.")
        pytest.skip("no promtool here: install the package prometheus")
    return found


@pytest.fixture
def healthy(db: None) -> dict[str, float]:
    """Every series that a desk tells on which all is well."""
    now = timezone.now()
    beat(Beating.CLOCK, now=now)
    beat(Beating.WORKER, now=now)
    ReadState.objects.update_or_create(pk=1, defaults={"succeeded_at": now})
    look_at_invariants(now=now)
    series = {"up": 1.0}
    for family in text_string_to_metric_families(Client().get("/metrics").content.decode()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            series[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    # No callback has ever come in this test.
    return {name: 0 if value == float("inf") else value for name, value in series.items()}


def rung_by(series: dict[str, float], folder: Path, expected: str | None) -> subprocess.CompletedProcess[str]:
    """Let an hour pass with these figures and have promtool compare which rules ring."""
    told = []
    for name, value in series.items():
        metric, _, labels = name.partition("{")
        every = ",".join(part for part in ('job="assetpay-admin"', 'instance="web"', labels.rstrip("}")) if part)
        told.append({"series": f"{metric}{{{every}}}", "values": f"{value:f}x240"})
    checks = [
        {"eval_time": "45m", "alertname": alert, **({"exp_alerts": []} if alert != expected else {})}
        for alert in alerts()
        if alert != expected
    ]
    if expected is not None:
        count = f'count(ALERTS{{alertname="{expected}",alertstate="firing"}})'
        expression = [{"expr": count, "eval_time": "45m", "exp_samples": [{"labels": "{}", "value": 1}]}]
    else:
        expression = []
    test = {
        "rule_files": [str(DEPLOY / "alerts.yml")],
        "evaluation_interval": "15s",
        "tests": [{"interval": "15s", "input_series": told, "alert_rule_test": checks, "promql_expr_test": expression}],
    }
    # JSON is YAML too.
    file = folder / "test.yml"
    file.write_text(json.dumps(test))
    return subprocess.run([promtool(), "test", "rules", str(file)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("alert", RINGING)
def test_each_alert_rings_for_its_own_cause_alone(healthy: dict[str, float], alert: str, tmp_path: Path) -> None:
    assert set(RINGING[alert]) <= set(healthy), "the desk tells no such figure"

    checked = rung_by(healthy | RINGING[alert], tmp_path, alert)

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_none_rings_on_a_busy_desk_that_is_well(healthy: dict[str, float], tmp_path: Path) -> None:
    assert set(BUSY) <= set(healthy)

    checked = rung_by(healthy | BUSY, tmp_path, None)

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_promtool_does_say_no(healthy: dict[str, float], tmp_path: Path) -> None:
    assert rung_by(healthy | RINGING["DeskDown"], tmp_path, None).returncode != 0


def test_every_alert_is_tried() -> None:
    assert set(alerts()) == set(RINGING)


def test_dashboard_and_rules_name_only_what_the_desk_tells(db: None) -> None:
    told = set(re.findall(r"^# TYPE (\w+)", Client().get("/metrics").content.decode(), flags=re.MULTILINE))
    dashboard = json.loads((DEPLOY / "grafana" / "assetpay-admin.json").read_text())
    shown = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    named = set(re.findall(r"assetpay_admin_\w+", shown + (DEPLOY / "alerts.yml").read_text()))

    assert named <= told
    assert told <= named, "told, but nobody looks at it"
