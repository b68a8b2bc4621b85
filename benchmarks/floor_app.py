"""The least that an honest callback door can do: a bare WSGI application, one HMAC, one durable insert.

Served as the desk is: `gunicorn benchmarks.floor_app:application`.
"""

import hashlib
import hmac
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlparse

import psycopg

SECRET = b"newest-secret-of-the-benchmarks"
TABLE = "CREATE TABLE IF NOT EXISTS floor (id {key}, signature TEXT NOT NULL, body {blob} NOT NULL)"
ADDRESS = urlparse(os.environ["DATABASE_URL"])
local = threading.local()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """POST: verify, keep, 200."""
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    signature = environ["HTTP_X_ASSETPAY_SIGNATURE"]
    expected = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    hmac.compare_digest(expected, signature[-64:])
    keep(signature, body)
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]


def keep(signature: str, body: bytes) -> None:
    """One row, durable when this returns."""
    if ADDRESS.scheme == "sqlite":
        connection = getattr(local, "sqlite", None) or open_sqlite()
        connection.execute("INSERT INTO floor (signature, body) VALUES (?, ?)", (signature, body))
    else:
        postgres = getattr(local, "postgres", None) or open_postgres()
        postgres.execute("INSERT INTO floor (signature, body) VALUES (%s, %s)", (signature, body))


def open_sqlite() -> sqlite3.Connection:
    """A connection that commits each statement to the disk, as the desk's does."""
    local.sqlite = sqlite3.connect(ADDRESS.path[1:] + ".floor", timeout=5, isolation_level=None)
    local.sqlite.execute("PRAGMA journal_mode=WAL")
    local.sqlite.execute("PRAGMA synchronous=FULL")
    local.sqlite.execute(TABLE.format(key="INTEGER PRIMARY KEY", blob="BLOB"))
    connection: sqlite3.Connection = local.sqlite
    return connection


def open_postgres() -> psycopg.Connection[Any]:
    """The same on PostgreSQL."""
    local.postgres = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    local.postgres.execute(TABLE.format(key="BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", blob="BYTEA"))
    connection: psycopg.Connection[Any] = local.postgres
    return connection
