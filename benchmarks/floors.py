"""The least that the work can cost: one statement by the driver, rows formatted as text."""

from django.db import connection

COLUMNS = (
    "i.id, i.assetpay_id, i.market_hash_name, i.status, i.price, i.opened_at, t.id, t.assetpay_id, t.external_id, "
    "t.client_steam_id, c.state, c.requested_at, r.state, r.amount"
)
JOINS = (
    "FROM withdrawals_item i JOIN withdrawals_trade t ON t.id = i.trade_id "
    "LEFT JOIN withdrawals_cancellation c ON c.item_id = i.id AND c.ended_at IS NULL "
    "LEFT JOIN withdrawals_refund r ON r.item_id = i.id"
)
ROW = "<tr>" + "<td>{}</td>" * 14 + "</tr>"


def list_floor(where: str = "", parameters: tuple[object, ...] = ()) -> str:
    """Fifty rows, newest first."""
    return _rows(f"SELECT {COLUMNS} {JOINS} {where} ORDER BY i.opened_at DESC, i.id DESC LIMIT 50", parameters)


def trade_floor(trade_id: int) -> str:
    """A trade's items and its timeline."""
    items = _rows(f"SELECT {COLUMNS} {JOINS} WHERE i.trade_id = %s", (trade_id,))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT number, at, actor_name, action, before, after, reason, source, cause "
            "FROM withdrawals_auditentry WHERE trade_id = %s ORDER BY number DESC LIMIT 500",
            (trade_id,),
        )
        return items + "".join(str(row) for row in cursor.fetchall())


def audit_floor() -> str:
    """Fifty entries, newest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT number, at, actor_name, action, trade_id, item_id, before, after, reason, source, cause "
            "FROM withdrawals_auditentry ORDER BY number DESC LIMIT 50"
        )
        return "".join(str(row) for row in cursor.fetchall())


def _rows(statement: str, parameters: tuple[object, ...]) -> str:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return "".join(ROW.format(*row) for row in cursor.fetchall())
