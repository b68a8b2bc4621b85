"""Runs the sandbox from a shell: python -m sandbox."""

import argparse
import json
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from sandbox.config import Config
from sandbox.demo import start_demo
from sandbox.sandbox import Sandbox
from sandbox.server import Server
from sandbox.store import StateUnreadable
from sandbox.switches import UnknownSwitch


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted; returns the exit status."""
    try:
        config = read_config(arguments)
        sandbox = Sandbox(config)
        server = Server(sandbox, config.port)
    except (StateUnreadable, UnknownSwitch, ValueError, OSError) as error:
        sys.stderr.write(f"sandbox: {error}\n")
        return 2
    stop = threading.Event()

    def stop_on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, stop_on_signal)
    signal.signal(signal.SIGTERM, stop_on_signal)
    if config.demo:
        start_demo(sandbox)
    sandbox.start()
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    say(f"sandbox: AssetPay stand-in on {server.base_url}, calling back {config.switches.callback_url}")
    stop.wait()
    server.shutdown()
    server.server_close()
    sandbox.close()
    say("sandbox: stopped")
    return 0


def read_config(arguments: list[str] | None) -> Config:
    """The environment's configuration with the command line's words on top."""
    config = Config.from_environment()
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="A stand-in for AssetPay on loopback.")
    parser.add_argument("--port", type=int, default=config.port, help="0 takes any free port")
    parser.add_argument("--callback-url", default=config.switches.callback_url)
    parser.add_argument("--state", type=Path, metavar="FILE", help="keep the world in this file")
    parser.add_argument("--switch", action="append", default=[], metavar="NAME=VALUE", help="may be repeated")
    parser.add_argument("--demo", action="store_true", help="make up withdrawals and keep them moving")
    given = parser.parse_args(arguments)
    return replace(
        config,
        port=given.port,
        state_file=given.state,
        demo=given.demo,
        switches=config.switches.patched({"callback_url": given.callback_url, **_switches(given.switch)}),
    )


def _switches(words: list[str]) -> dict[str, Any]:
    patch = {}
    for word in words:
        name, _, text = word.partition("=")
        try:
            patch[name] = json.loads(text)
        except ValueError:
            patch[name] = text  # A plain word needs no quotes.
    return patch


def say(line: str) -> None:
    """One line for the person at the terminal."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
