"""Every address, one line each, grouped by noun."""

from django.urls import path

from withdrawals.views import (
    alarms,
    audit,
    callbacks,
    cancellations,
    deliveries,
    health,
    invariants,
    items,
    metrics,
    overview,
    refunds,
    trades,
)

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("now/", overview.server_now, name="server_now"),
    path("items/", items.item_list, name="item_list"),
    path("items/<int:pk>/row/", items.item_row_now, name="item_row"),
    path("items/<int:pk>/cancel/", items.item_cancel, name="item_cancel"),
    path("trades/", trades.trade_list, name="trade_list"),
    path("trades/<int:pk>/", trades.trade_detail, name="trade_detail"),
    path("trades/<int:pk>/document/", trades.trade_document, name="trade_document"),
    path("trades/<int:pk>/check/", trades.trade_check, name="trade_check"),
    path("cancellations/", cancellations.cancellation_list, name="cancellation_list"),
    path("cancellations/<int:pk>/undo/", cancellations.cancellation_undo, name="cancellation_undo"),
    path("refunds/", refunds.refund_list, name="refund_list"),
    path("refunds/<int:pk>/confirm/", refunds.refund_confirm, name="refund_confirm"),
    path("deliveries/", deliveries.delivery_list, name="delivery_list"),
    path("deliveries/<int:pk>/", deliveries.delivery_detail, name="delivery_detail"),
    path("deliveries/replay/", deliveries.delivery_replay_many, name="delivery_replay_many"),
    path("deliveries/<int:pk>/replay/", deliveries.delivery_replay, name="delivery_replay"),
    path("deliveries/<int:pk>/document/", deliveries.delivery_document, name="delivery_document"),
    path("alarms/", alarms.alarm_list, name="alarm_list"),
    path("audit/", audit.audit_list, name="audit_list"),
    path("callbacks/assetpay/", callbacks.receive, name="callback_receive"),
    path("invariants/", invariants.invariant_list, name="invariant_list"),
    path("metrics", metrics.metrics, name="metrics"),
    path("health/live", health.live, name="health_live"),
    path("health/ready", health.ready, name="health_ready"),
]
