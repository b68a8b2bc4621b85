"""Whom a client of ours believes where a callback goes out over TLS."""

import ssl
from functools import cache

import httpx


@cache
def trusted() -> ssl.SSLContext:
    """Read once for all clients of this process: reading the list of authorities takes longer than a call."""
    return httpx.create_ssl_context(trust_env=False)
