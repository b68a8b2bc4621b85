"""What a sandbox is started with."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from sandbox.switches import Switches

DEFAULT_SECRET = "sandbox-secret-not-for-production-0001"  # noqa: S105 - made up, for loopback only


@dataclass(frozen=True)
class Config:
    """One merchant, where to listen, where to call back, and the switches to start from."""

    port: int = 8001
    merchant_id: str = "5f0c2a4e-3f6b-4a55-9d0e-6b7c1de20001"
    api_key: str = "ap_sandbox_0000000000000000"
    # Newest first; the newest signs.
    api_secrets: tuple[str, ...] = (DEFAULT_SECRET,)
    state_file: Path | None = None
    demo: bool = False
    # Who each call was authenticated as stays in memory up to this many calls.
    remembered_calls: int = 5000
    switches: Switches = field(default_factory=Switches)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """The configuration the dashboard's own environment variables describe.

        Raises ValueError, naming the variable, for a number that is none.
        """
        plain = cls()
        dashboard = _number(environ, "PORT", 8000)
        patch: dict[str, Any] = {"callback_url": f"http://127.0.0.1:{dashboard}/callbacks/assetpay/"}
        if environ.get("ASSETPAY_CANCELS_PER_MINUTE"):
            patch["cancels_per_minute"] = _number(environ, "ASSETPAY_CANCELS_PER_MINUTE", 10)
        if environ.get("CANCEL_WINDOW_SECONDS"):
            patch["cancel_window_seconds"] = _number(environ, "CANCEL_WINDOW_SECONDS", 1800)
        secrets = [part.strip() for part in environ.get("ASSETPAY_API_SECRETS", "").split(",")]
        return cls(
            port=_number(environ, "SANDBOX_PORT", plain.port),
            merchant_id=environ.get("ASSETPAY_MERCHANT_ID") or plain.merchant_id,
            api_key=environ.get("ASSETPAY_API_KEY") or plain.api_key,
            api_secrets=tuple(secret for secret in secrets if secret) or plain.api_secrets,
            switches=Switches().patched(patch),
        )


def _number(environ: Mapping[str, str], name: str, otherwise: int) -> int:
    text = environ.get(name) or str(otherwise)
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name} is not a whole number: {text!r}") from None
