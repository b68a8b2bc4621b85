"""A last moment for one HTTP call, whatever the other side does.

Read timeouts start afresh with every byte, so a server that drips can hold a worker for hours. Here the connection
itself is shut down when the call as a whole has lasted too long, and the waiting read then ends like any lost answer.
"""

import socket
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

import httpx

from withdrawals.assetpay.errors import NotSent

if TYPE_CHECKING:
    import httpcore


class Deadline:
    """Ends the call made inside the `with` block after so many seconds; pass `trace` as httpx's extension of that name.

    Raises NotSent when it cannot watch. A name server that does not answer is beyond its reach: that wait ends by the
    resolver's own rules.
    """

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._passed = False

    def __enter__(self) -> Self:
        try:
            self._timer.start()
        except RuntimeError:  # the process may start no more threads, and without a deadline nothing is sent
            raise NotSent("no thread left to keep the deadline") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def trace(self, event: str, details: Mapping[str, object]) -> None:
        """Take hold of the connection as soon as it stands; raises httpx.ConnectTimeout when it is too late already."""
        if event != "connection.connect_tcp.complete":
            return
        stream = cast("httpcore.NetworkStream", details["return_value"])
        with self._lock:
            if self._passed:
                stream.close()
                raise httpx.ConnectTimeout("connected after the deadline")
            # A second handle on the same connection: the first is taken over by TLS, and shutting down the wrapper
            # under a reading thread would switch the encryption off, not the wire.
            self._connection = cast("socket.socket", stream.get_extra_info("socket")).dup()

    def _cut(self) -> None:
        with self._lock:
            self._passed = True
            if self._connection is not None:
                try:
                    self._connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    return  # the other side was quicker
