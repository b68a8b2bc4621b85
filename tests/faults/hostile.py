"""A network between desk and sandbox that does what it likes with what passes: a small proxy on loopback."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

HTML = b"<!doctype html><title>Sign in to the hotel's network</title><p>Welcome, guest."
LARGE = 10_000_000
RESET = struct.pack("ii", 1, 0)
BYTES_AT_ONCE = 65_536


@dataclass
class Wire:
    """One call on its way: who calls, and where it leads."""

    caller: socket.socket
    target: tuple[str, int]
    passed: int = 0

    def read_request(self) -> bytes:
        """All of it; none of the desk's has a body."""
        head = b""
        while not head.endswith(b"\r\n\r\n") and (part := self.caller.recv(BYTES_AT_ONCE)):
            head += part
        return head

    def ask(self, request: bytes) -> bytes:
        """Let the sandbox have these bytes; its whole answer, empty where it gave none."""
        with socket.create_connection(self.target, timeout=10) as server:
            server.sendall(request)
            server.shutdown(socket.SHUT_WR)
            self.passed += len(request)
            answer = b""
            while part := server.recv(BYTES_AT_ONCE):
                answer += part
        return answer

    def reset(self) -> None:
        """Hang up as a crash does, not as a goodbye."""
        self.caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


type Mood = Callable[[Wire], None]


def passes(wire: Wire) -> None:
    """As a network should be."""
    wire.caller.sendall(wire.ask(wire.read_request()))


def delays(seconds: float) -> Mood:
    """Everything comes, late."""

    def act(wire: Wire) -> None:
        answer = wire.ask(wire.read_request())
        time.sleep(seconds)  # the slowness itself
        wire.caller.sendall(answer)

    return act


def cuts_request(at: int) -> Mood:
    """So many bytes of the request come through."""

    def act(wire: Wire) -> None:
        request = wire.read_request()
        if request[:at]:
            wire.ask(request[:at])

    return act


def cuts_answer(at: int, *, resets: bool = False) -> Mood:
    """The request comes through, and so many bytes of the answer."""

    def act(wire: Wire) -> None:
        wire.caller.sendall(wire.ask(wire.read_request())[:at])
        if resets:
            wire.reset()

    return act


def throttles(bytes_at_once: int, pause: float) -> Mood:
    """The answer comes in crumbs."""

    def act(wire: Wire) -> None:
        answer = wire.ask(wire.read_request())
        for start in range(0, len(answer), bytes_at_once):
            wire.caller.sendall(answer[start : start + bytes_at_once])
            time.sleep(pause)  # the slowness itself

    return act


def answers(status: str, body: bytes, *, asks_first: bool, length: int | None = None) -> Mood:
    """Something in between answers; `asks_first`: after AssetPay has done what it was asked. `length` may be a lie."""

    def act(wire: Wire) -> None:
        request = wire.read_request()
        if asks_first:
            wire.ask(request)
        told = len(body) if length is None else length
        wire.caller.sendall(f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {told}\r\n\r\n".encode())
        wire.caller.sendall(body)

    return act


def changes_length(by: float) -> Mood:
    """AssetPay's own answer under another length: 2 promises twice as much, 0.5 half."""

    def act(wire: Wire) -> None:
        head, _, body = wire.ask(wire.read_request()).partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
        lines.append(b"Content-Length: %d" % int(len(body) * by))
        wire.caller.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)

    return act


def pads(size: int) -> Mood:
    """AssetPay's own answer, and megabytes of blanks behind it."""

    def act(wire: Wire) -> None:
        _, _, body = wire.ask(wire.read_request()).partition(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body) + size}\r\n\r\n"
        wire.caller.sendall(head.encode() + body)
        wire.caller.sendall(b" " * size)

    return act


def hangs_up(wire: Wire) -> None:
    """Nobody is asked."""
    wire.reset()


@dataclass
class HostileNetwork:
    """Listens between desk and sandbox; `mood` decides over the next calls."""

    listener: socket.socket
    target: tuple[str, int]
    mood: Mood = passes
    wires: list[Wire] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where the desk believes AssetPay to be."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        """One thread for each call, until the listener is shut."""
        while True:
            try:
                caller, _ = self.listener.accept()
            except OSError:
                return
            wire = Wire(caller, self.target)
            self.wires.append(wire)
            threading.Thread(target=self._carry, args=[wire], daemon=True).start()

    def _carry(self, wire: Wire) -> None:
        with wire.caller, suppress(OSError):
            self.mood(wire)


@contextmanager
def hostile_network(sandbox_url: str) -> Iterator[HostileNetwork]:
    """A friendly one, until its mood is changed."""
    place = urlsplit(sandbox_url)
    assert place.hostname is not None
    assert place.port is not None
    network = HostileNetwork(socket.create_server(("127.0.0.1", 0)), (place.hostname, place.port))
    thread = threading.Thread(target=network.serve, daemon=True)
    thread.start()
    try:
        yield network
    finally:
        network.listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=5)
        network.listener.close()
