"""For Prometheus: everything is read from the tables, so every web process of every machine tells the same."""

import hmac
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db.models import Count, Max, Min, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from withdrawals.models import (
    Alarm,
    AlarmKind,
    Beating,
    Cancellation,
    CancellationState,
    Delivery,
    Heartbeat,
    InvariantResult,
    Item,
    ReadState,
    Refund,
    RefundState,
    RejectedCall,
    SendBudget,
    SendPermit,
    Verdict,
)

HOUR = timedelta(hours=1)
RECENT = timedelta(minutes=10)
RECENT_CALLBACKS = 500
PREFIX = "assetpay_admin_"


@require_safe
@login_not_required  # a scraper has no account: a token opens it, or its place on this very machine
def metrics(request: HttpRequest) -> HttpResponse:
    """GET /metrics: Prometheus' text format; 401 without the token, 403 from elsewhere where there is none."""
    if settings.METRICS_TOKEN:
        if not hmac.compare_digest(
            request.headers.get("Authorization", "").encode(), f"Bearer {settings.METRICS_TOKEN}".encode()
        ):
            return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    elif not _is_from_here(request):
        return HttpResponse(status=403)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Desk(timezone.now()))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _is_from_here(request: HttpRequest) -> bool:
    """Whether the call comes from this machine. What a proxy passed on does not, wherever the proxy runs."""
    if any(request.headers.get(name) for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP")):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


class _Desk:
    """The desk's state at one moment, as metrics."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def collect(self) -> Iterator[Metric]:
        yield from self._callbacks()
        yield from self._cancellations()
        yield from self._sending()
        yield from self._processes()
        yield from self._refunds()
        yield from self._truth()

    def _callbacks(self) -> Iterator[Metric]:
        lately = Delivery.objects.filter(received_at__gte=self._now - HOUR)
        counts = dict(lately.values_list("verdict").annotate(Count("pk")))
        yield labelled("callbacks_last_hour", "Callbacks kept in the last hour", "verdict", counts, Verdict.values)
        rejected = RejectedCall.objects.filter(received_at__gte=self._now - HOUR)
        reasons = dict(rejected.values_list("reason").annotate(Count("pk")))
        yield labelled("callbacks_rejected_last_hour", "Calls not let in, in the last hour", "reason", reasons, [])
        recent = Delivery.objects.filter(received_at__gte=self._now - RECENT).order_by("-pk")
        times = list(recent.values_list("received_at", "signed_at")[:RECENT_CALLBACKS])
        lags = [(received - signed).total_seconds() for received, signed in times]
        yield gauge(
            "callback_lag_seconds",
            "Median time from AssetPay's signature to our door, of the last ten minutes",
            median(lags) if lags else 0,
        )
        last = Delivery.objects.aggregate(last=Max("last_received_at"))["last"]
        yield gauge("callback_silence_seconds", "Time since the last callback", self._since(last))

    def _cancellations(self) -> Iterator[Metric]:
        counts = dict(Cancellation.objects.values_list("state").annotate(Count("pk")))
        yield labelled("cancellations", "Cancellations by where they stand", "state", counts, CancellationState.values)

    def _sending(self) -> Iterator[Metric]:
        used = SendPermit.objects.filter(counts_until__gt=self._now).count()
        yield gauge("permits_used", "Cancels that count against AssetPay's limit now", used)
        yield gauge("permits_limit", "Cancels that may leave in a minute", settings.ASSETPAY_CANCELS_PER_MINUTE)
        paused = SendBudget.objects.filter(pk=1).values_list("paused_until", flat=True).first()
        left = max(0.0, (paused - self._now).total_seconds()) if paused else 0
        yield gauge("sending_paused_seconds", "How long AssetPay's pause still lasts", left)
        oldest = Cancellation.objects.due(self._now).aggregate(oldest=Min("send_from"))["oldest"]
        age = self._since(oldest) if oldest else 0
        yield gauge("queue_age_seconds", "How long the oldest cancellation has been due", age)

    def _processes(self) -> Iterator[Metric]:
        seen = dict(Heartbeat.objects.values_list("name", "at"))
        silent = {name: self._since(seen.get(name)) for name in Beating.values}
        yield labelled("heartbeat_age_seconds", "Time since a process showed life", "process", silent, Beating.values)
        ringing = set(Alarm.objects.ringing().values_list("kind", flat=True))
        alarms = {kind: int(kind in ringing) for kind in AlarmKind.values}
        yield labelled("alarm_ringing", "1 while this alarm rings on the desk", "kind", alarms, AlarmKind.values)

    def _refunds(self) -> Iterator[Metric]:
        open_states = [RefundState.DUE, RefundState.IN_REVIEW]
        rows = Refund.objects.filter(state__in=open_states).values("state")
        found = {row["state"]: row for row in rows.annotate(count=Count("pk"), usd=Sum("amount"), old=Min("opened_at"))}
        counts = {state: row["count"] for state, row in found.items()}
        usd = {state: row["usd"] or 0 for state, row in found.items()}
        ages = {state: self._since(row["old"]) for state, row in found.items()}
        yield labelled("refunds_owed", "Refunds that nobody has decided", "state", counts, open_states)
        yield labelled("refunds_owed_usd", "What they come to, in USD", "state", usd, open_states)
        yield labelled("refunds_oldest_seconds", "Age of the oldest of them", "state", ages, open_states)

    def _truth(self) -> Iterator[Metric]:
        drift = Item.objects.learned_by_reading(self._now).count()
        yield gauge("reconcile_drift", "Changes of the last hour that only reading back told", drift)
        state = ReadState.objects.filter(pk=1).first()
        worked = state.succeeded_at if state else None
        yield gauge("reconcile_age_seconds", "Time since reading back last worked", self._since(worked))
        broken = dict(InvariantResult.objects.values_list("name", "broken"))
        yield labelled("invariant_broken_rows", "Rows that break a promise; 0 is well", "invariant", broken, [])
        checked = InvariantResult.objects.aggregate(oldest=Min("checked_at"))["oldest"]
        yield gauge("invariants_age_seconds", "Time since the invariants were looked at", self._since(checked))

    def _since(self, moment: datetime | None) -> float:
        """Seconds; endless where it never was, so that an alert rings rather than sleeps."""
        return (self._now - moment).total_seconds() if moment else float("inf")


def gauge(name: str, help_text: str, value: object) -> Metric:
    """One figure."""
    return GaugeMetricFamily(PREFIX + name, help_text, value=float(str(value)))


def labelled(name: str, help_text: str, label: str, values: Mapping[str, object], known: Sequence[str]) -> Metric:
    """One figure for each value of a label; those `known` are there even where nothing was counted."""
    family = GaugeMetricFamily(PREFIX + name, help_text, labels=[label])
    for each in [*known, *sorted(set(values) - set(known))]:
        family.add_metric([str(each)], float(str(values.get(each, 0))))
    return family
