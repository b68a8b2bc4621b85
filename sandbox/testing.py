"""A sandbox for the length of a test: in a thread of this process, or as a process of its own."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sandbox.client import SandboxControl
from sandbox.config import Config
from sandbox.demo import start_demo
from sandbox.sandbox import Sandbox
from sandbox.server import Server

PROJECT = Path(__file__).resolve().parent.parent


@dataclass
class RunningSandbox:
    """Where a sandbox is reached and what it knows of its merchant."""

    base_url: str
    merchant_id: str
    api_key: str
    # All secrets, newest first; `secret` is the one that signs.
    secrets: tuple[str, ...]
    control: SandboxControl = field(init=False)

    def __post_init__(self) -> None:
        self.control = SandboxControl(self.base_url)

    @property
    def secret(self) -> str:
        """The API secret that signs tokens and callbacks."""
        return self.secrets[0]


@contextmanager
def running_sandbox(
    *,
    callback_url: str = "",
    process: bool = False,
    state_file: Path | None = None,
    demo: bool = False,
    merchant_id: str | None = None,
    api_key: str | None = None,
    api_secrets: tuple[str, ...] | None = None,
    **switches: Any,
) -> Iterator[RunningSandbox]:
    """A sandbox on a free port until the block ends; further arguments are switches.

    In a thread it is there at once; as a process it does not share a faked clock. reset() goes back to the
    switches given here.
    """
    plain = Config()
    config = replace(
        plain,
        port=0,
        merchant_id=merchant_id or plain.merchant_id,
        api_key=api_key or plain.api_key,
        api_secrets=api_secrets or plain.api_secrets,
        state_file=state_file,
        demo=demo,
        switches=plain.switches.patched({"callback_url": callback_url, **switches}),
    )
    start = _in_a_process if process else _in_a_thread
    with start(config) as base_url:
        running = RunningSandbox(base_url, config.merchant_id, config.api_key, config.api_secrets)
        try:
            yield running
        finally:
            running.control.close()


@contextmanager
def _in_a_thread(config: Config) -> Iterator[str]:
    sandbox = Sandbox(config)
    server = Server(sandbox, config.port)
    if config.demo:
        start_demo(sandbox)
    sandbox.start()
    threading.Thread(target=server.serve_forever, args=(0.02,), name="sandbox", daemon=True).start()
    try:
        yield server.base_url
    finally:
        server.shutdown()
        server.server_close()
        sandbox.close()


@contextmanager
def _in_a_process(config: Config) -> Iterator[str]:
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--callback-url", config.switches.callback_url]
    command += ["--state", str(config.state_file)] if config.state_file else []
    for name, value in config.switches.model_dump(mode="json", exclude_unset=True).items():
        command += ["--switch", f"{name}={json.dumps(value)}"]
    command += ["--demo"] if config.demo else []
    environment = {
        **os.environ,
        "ASSETPAY_MERCHANT_ID": config.merchant_id,
        "ASSETPAY_API_KEY": config.api_key,
        "ASSETPAY_API_SECRETS": ",".join(config.api_secrets),
    }
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command, env=environment, cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    try:
        yield _announced_url(process)
    finally:
        process.terminate()
        process.wait(timeout=10)


def _announced_url(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline() if process.stdout is not None else ""
    words = [word.rstrip(",") for word in line.split()]
    urls = [word for word in words if word.startswith("http://127.0.0.1:")]
    if not urls:
        raise RuntimeError(f"The sandbox did not start: {line!r}")
    return urls[0]
