"""Lists as CSV: exactly the filtered rows, one at a time from the database to the network."""

import csv
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import batched
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from withdrawals.actions.exports import note_export
from withdrawals.filters import CancellationFilter, DeliveryFilter, RefundFilter, SearchedSet, TradeFilter
from withdrawals.models import Cancellation, Delivery, Refund, RefundState, Trade
from withdrawals.models.audit_export import plain_text
from withdrawals.models.refund_rules import OWED_REFUNDS
from withdrawals.views.access import DeskRequest, needs, screen_origin
from withdrawals.views.finding import find_items

ROWS_AT_ONCE = 500

Column = tuple[str, Callable[[Any], object]]


class _Line:
    """A file that hands each line back."""

    def write(self, text: str, /) -> str:
        return text


def cell(value: object) -> str:
    """One value as CSV shows it: times in UTC with their zone, money plain, text that no spreadsheet runs."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds")
    if isinstance(value, Decimal):
        return f"{value:.4f}"
    return plain_text(str(value))


def csv_lines(columns: tuple[Column, ...], rows: QuerySet[Any]) -> Iterator[str]:
    """The lines of the file, some hundred at a time; the database's cursor holds the place."""
    writer = csv.writer(_Line())
    yield writer.writerow([name for name, _ in columns])
    for batch in batched(rows.iterator(chunk_size=ROWS_AT_ONCE), ROWS_AT_ONCE):
        yield "".join(writer.writerow([cell(value(row)) for _, value in columns]) for row in batch)


ITEM_COLUMNS: tuple[Column, ...] = (
    ("item", lambda row: row.assetpay_id),
    ("name", lambda row: row.title),
    ("trade", lambda row: row.trade.assetpay_id),
    ("order", lambda row: row.trade.external_id),
    ("steam_id", lambda row: row.trade.client_steam_id),
    ("customer", lambda row: row.trade.external_client_user_id),
    ("status", lambda row: row.status),
    ("reported_status", lambda row: row.reported_status),
    ("error", lambda row: row.error),
    ("price_first_seen_usd", lambda row: row.first_price),
    ("price_latest_usd", lambda row: row.price),
    ("opened_at", lambda row: row.opened_at),
    ("cancellable_from", lambda row: row.cancellable_from),
    ("status_changed_at", lambda row: row.status_changed_at),
    ("refund_state", lambda row: getattr(getattr(row, "refund", None), "state", "")),
)
TRADE_COLUMNS: tuple[Column, ...] = (
    ("trade", lambda row: row.assetpay_id),
    ("order", lambda row: row.external_id),
    ("source", lambda row: row.source),
    ("status", lambda row: row.status),
    ("game", lambda row: row.game),
    ("steam_id", lambda row: row.client_steam_id),
    ("customer", lambda row: row.external_client_user_id),
    ("total_price_usd", lambda row: row.total_price),
    ("reverted_by", lambda row: row.reverted_by),
    ("error", lambda row: row.error),
    ("opened_at", lambda row: row.opened_at),
    ("auto_cancel_at", lambda row: row.auto_cancel_at),
    ("reported_at", lambda row: row.reported_at),
)
CANCELLATION_COLUMNS: tuple[Column, ...] = (
    ("item", lambda row: row.item.assetpay_id),
    ("name", lambda row: row.item.title),
    ("trade", lambda row: row.item.trade.assetpay_id),
    ("request", lambda row: row.number),
    ("state", lambda row: row.state),
    ("reason", lambda row: row.reason),
    ("note", lambda row: row.note),
    ("requested_by", lambda row: row.requested_by.email),
    ("requested_at", lambda row: row.requested_at),
    ("accepted_at", lambda row: row.accepted_at),
    ("changed_at", lambda row: row.changed_at),
    ("ended_at", lambda row: row.ended_at),
    ("answer_key", lambda row: row.answer_key),
    ("answer_message", lambda row: row.answer_message),
    ("answer_request_id", lambda row: row.answer_request_id),
)
DELIVERY_COLUMNS: tuple[Column, ...] = (
    ("delivery", lambda row: row.delivery_id),
    ("received_at", lambda row: row.received_at),
    ("signed_at", lambda row: row.signed_at),
    ("kind", lambda row: row.kind),
    ("about", lambda row: row.subject_id),
    ("verdict", lambda row: row.verdict),
    ("problem", lambda row: row.problem),
    ("times_received", lambda row: row.times_received),
    ("last_received_at", lambda row: row.last_received_at),
    ("is_copy", lambda row: row.is_copy),
    ("is_late", lambda row: row.is_late),
    ("body_sha256", lambda row: row.body_sha256),
)
REFUND_COLUMNS: tuple[Column, ...] = (
    ("item", lambda row: row.item.assetpay_id),
    ("name", lambda row: row.item.title),
    ("trade", lambda row: row.item.trade.assetpay_id),
    ("order", lambda row: row.item.trade.external_id),
    ("steam_id", lambda row: row.item.trade.client_steam_id),
    ("customer", lambda row: row.item.trade.external_client_user_id),
    ("state", lambda row: row.state),
    ("cause", lambda row: row.cause),
    ("rule_version", lambda row: row.rule_version),
    ("price_first_seen_usd", lambda row: row.price),
    ("price_latest_usd", lambda row: row.item.price),
    ("amount_usd", lambda row: row.amount),
    ("returned_usd", lambda row: row.net),
    ("lost_at_assetpay_usd", lambda row: row.loss),
    ("opened_at", lambda row: row.opened_at),
    ("confirmed_by", lambda row: row.confirmed_by.email if row.confirmed_by else ""),
    ("confirmed_at", lambda row: row.confirmed_at),
    ("reference", lambda row: row.reference),
    ("waived_by", lambda row: row.waived_by.email if row.waived_by else ""),
    ("waived_at", lambda row: row.waived_at),
    ("waived_reason", lambda row: row.waived_reason),
    ("contradicted_at", lambda row: row.contradicted_at),
    ("evidence", lambda row: row.evidence_name),
    ("evidence_sha256", lambda row: row.evidence_sha256),
)


@require_GET
@needs("export_rows")
def item_export(request: DeskRequest) -> HttpResponseBase:
    """GET /items/export.csv: the tab, the search or the rest of a batch that the list shows."""
    now = timezone.now()
    found = find_items(request.GET, now=now)
    if found.problem:
        return _unreadable(request)
    sign = "-" if found.tab.newest_first else ""
    rows = found.items.select_related("trade", "refund").defer("document", "trade__document")
    return _send(request, "items", ITEM_COLUMNS, rows.order_by(f"{sign}opened_at", f"{sign}pk"), now=now)


@require_GET
@needs("export_rows")
def trade_export(request: DeskRequest) -> HttpResponseBase:
    """GET /trades/export.csv"""
    filters = TradeFilter(request.GET, queryset=Trade.objects.defer("document"))
    return _filtered(request, "trades", TRADE_COLUMNS, filters, by="opened_at")


@require_GET
@needs("export_rows")
def cancellation_export(request: DeskRequest) -> HttpResponseBase:
    """GET /cancellations/export.csv"""
    rows = Cancellation.objects.select_related("item__trade", "requested_by")
    filters = CancellationFilter(request.GET, queryset=rows.defer("item__document", "item__trade__document"))
    return _filtered(request, "cancellations", CANCELLATION_COLUMNS, filters, by="requested_at")


@require_GET
@needs("export_rows")
def delivery_export(request: DeskRequest) -> HttpResponseBase:
    """GET /deliveries/export.csv, without the bodies."""
    filters = DeliveryFilter(request.GET, queryset=Delivery.objects.defer("body"))
    return _filtered(request, "deliveries", DELIVERY_COLUMNS, filters, by="received_at")


@require_GET
@needs("export_rows")
def refund_export(request: DeskRequest) -> HttpResponseBase:
    """GET /refunds/export.csv: one state, as the list shows."""
    wanted = request.GET.get("state") or RefundState.DUE
    if wanted not in RefundState.values:
        return _unreadable(request)
    state = RefundState(wanted)
    rows = Refund.objects.select_related("item__trade", "confirmed_by", "waived_by")
    rows = rows.defer("item__document", "item__trade__document")
    filters = RefundFilter(request.GET, queryset=rows, state=state)
    newest_first = state not in OWED_REFUNDS
    return _filtered(request, "refunds", REFUND_COLUMNS, filters, by="opened_at", newest_first=newest_first)


def _filtered(
    request: DeskRequest,
    name: str,
    columns: tuple[Column, ...],
    filters: SearchedSet,
    *,
    by: str,
    newest_first: bool = True,
) -> HttpResponseBase:
    if not filters.form.is_valid():
        return _unreadable(request)
    sign = "-" if newest_first else ""
    return _send(request, name, columns, filters.qs.order_by(f"{sign}{by}", f"{sign}pk"), now=timezone.now())


def _send(
    request: DeskRequest, name: str, columns: tuple[Column, ...], rows: QuerySet[Any], *, now: datetime
) -> HttpResponseBase:
    note_export(of=name, form="csv", filters=request.GET.urlencode(), origin=screen_origin(request), now=now)
    stamp = f"{now.astimezone(UTC):%Y-%m-%dT%H%M%SZ}"
    return StreamingHttpResponse(
        csv_lines(columns, rows),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}-{stamp}.csv"'},
    )


def _unreadable(request: DeskRequest) -> HttpResponse:
    return render(request, "400.html", status=400)
