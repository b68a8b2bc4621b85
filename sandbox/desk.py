"""Where calls are answered: an endpoint with its address, and all that it works with."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.answers import Call
from sandbox.sandbox import Sandbox
from sandbox.tokens import ClientUser, check_api_key, client_user


@dataclass
class Done:
    """What an endpoint answers, for whom, and whether it changed the world."""

    data: Any
    effect: bool = False


@dataclass
class Desk:
    """What an endpoint works with: the sandbox, the call, the moment, and who turned out to be calling."""

    sandbox: Sandbox
    call: Call
    now: datetime
    caller: str | None = None

    def merchant(self) -> None:
        """Ask for the api-key."""
        check_api_key(self.call.headers, self.sandbox.config, self.sandbox.world.switches)
        self.caller = "merchant"

    def user(self) -> ClientUser:
        """Ask for a client token."""
        user = client_user(self.call.headers, self.sandbox.config, self.sandbox.world.switches)
        self.caller = f"client {user.steam_id}"
        return user


@dataclass(frozen=True)
class Route:
    """One endpoint; braces in the path hold one decoded segment each."""

    name: str
    method: str
    path: str
    answer: Callable[[Desk], Done]

    def match(self, method: str, segments: list[str]) -> dict[str, str] | None:
        """The path's values, or None when this is another endpoint."""
        pattern = self.path.strip("/").split("/")
        if method != self.method or len(pattern) != len(segments):
            return None
        params = {}
        for expected, found in zip(pattern, segments, strict=True):
            if expected.startswith("{"):
                params[expected[1:-1]] = found
            elif expected != found:
                return None
        return params
