"""A tiny server on loopback that answers raw bytes, for what no well-behaved server would do."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

type Act = Callable[[socket.socket], None]


class Loopback:
    """Accepts one connection after the other, lets `act` misbehave on each, keeps what `read_request` read."""

    def __init__(self, act: Act) -> None:
        self.act = act
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)
        self._listener.close()

    def read_request(self, connection: socket.socket) -> None:
        """Read one whole request head; none of ours has a body."""
        head = b""
        while not head.endswith(b"\r\n\r\n") and (part := connection.recv(65536)):
            head += part
        self.requests.append(head)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                self.act(connection)


def replying(answer: bytes) -> Loopback:
    """A server that reads each request and answers these bytes."""

    def act(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(answer)

    server = Loopback(act)
    return server


def http_answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """A whole HTTP/1.1 answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
