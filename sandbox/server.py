"""The HTTP around the sandbox: one thread per connection, with the socket at hand for resets and hangs."""

import os
import socket
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

from sandbox.answers import Answer, Transmission
from sandbox.control import PREFIX, answer_control
from sandbox.dispatch import answer_call
from sandbox.sandbox import Sandbox

LARGEST_BODY = 4 * 1024 * 1024
DRIPS = 20
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Server(ThreadingHTTPServer):
    """Serves one sandbox, on loopback only."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, sandbox: Sandbox, port: int) -> None:
        self.sandbox = sandbox
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def base_url(self) -> str:
        """Where to reach it."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Callers that hang up are everyday life here; anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # typeshed narrows it to sockets


class Handler(BaseHTTPRequestHandler):
    """Reads a request whole, has it answered, and lets the answer leave as ordered."""

    protocol_version = "HTTP/1.1"
    server_version = "AssetPaySandbox"
    sys_version = ""
    # Head and body leave in one packet, or Nagle and delayed acknowledgements cost 40 ms a call.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        """Answer a GET."""
        self._serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Calls are remembered by the sandbox, not printed."""

    def _serve(self) -> None:
        body = self._read_body()
        if body is None:
            self._send(Answer(413, b"", content_type="text/plain"))
            self.close_connection = True
            return
        sandbox = self.server.sandbox
        if self.path.startswith(PREFIX):
            loopback = ip_address(self.client_address[0]).is_loopback
            self._send(answer_control(sandbox, self.command, self.path, body, loopback=loopback))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._transmit(answer_call(sandbox, self.command, self.path, headers, body))

    def _read_body(self) -> bytes | None:
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            return None
        return self.rfile.read(length) if 0 <= length <= LARGEST_BODY else None

    def _transmit(self, transmission: Transmission) -> None:
        answer = transmission.answer
        if transmission.how == "reset":
            self._reset()
        elif answer is None or transmission.how == "close":
            self.close_connection = True
        elif transmission.how == "truncated":
            self._head(answer)
            self.wfile.write(answer.body[: len(answer.body) // 2])
            self.close_connection = True
        elif transmission.how == "dripped":
            self._drip(answer, transmission.seconds)
        else:
            self._send(answer)

    def _send(self, answer: Answer) -> None:
        self._head(answer)
        self.wfile.write(answer.body)

    def _head(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _drip(self, answer: Answer, seconds: float) -> None:
        self._head(answer)
        step = max(1, len(answer.body) // DRIPS)
        for start in range(0, len(answer.body), step):
            self.wfile.write(answer.body[start : start + step])
            self.wfile.flush()
            self.server.sandbox.pause(seconds / DRIPS)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        # Only closing the descriptor itself sends the reset; the reader and writer still hold the socket.
        os.close(self.connection.detach())
