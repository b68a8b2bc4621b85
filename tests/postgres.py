"""A PostgreSQL server that lives as long as one command: `python tests/postgres.py pytest -n auto`.

The command finds it in DATABASE_URL. Data lies in a temporary folder, the server listens on loopback only. With
`--durable` as the first word it waits for the disk as a real one does, for measurements.
`python tests/postgres.py --available` says by its exit status whether PostgreSQL's programs are here.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 60


def main(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    folder = programs()
    is_durable = arguments[:1] == ["--durable"]
    arguments = arguments[is_durable:]
    if arguments == ["--available"] or folder is None:
        return 0 if folder else 1
    # Stopped from outside: leave through the `finally` below. Ctrl+C reaches the command too; it ends first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, lambda *_: None)
    with cluster(folder, is_durable=is_durable) as url:
        command = subprocess.Popen(arguments, env={**os.environ, "DATABASE_URL": url})
        try:
            return command.wait()
        finally:
            # It may have processes of its own to end.
            command.terminate()
            command.wait()


def programs() -> Path | None:
    """The folder of initdb and postgres, the newest version first; None where this user could not run them."""
    on_path = shutil.which("initdb")
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    found = [*reversed(versions), *([Path(on_path).resolve()] if on_path else [])]
    if not found or (os.geteuid() == 0 and not _has_postgres_user()):
        return None
    return found[0].parent


@contextmanager
def cluster(folder: Path, *, is_durable: bool = False) -> Iterator[str]:
    """A fresh cluster on a free port; yields its address as DATABASE_URL wants it."""
    # PostgreSQL refuses to run as root.
    owner: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []}
    owner = owner if os.geteuid() == 0 else {}
    home = Path(tempfile.mkdtemp(prefix="assetpay_admin_postgres_"))
    log = home / "log"
    server = None
    try:
        log.touch()
        if owner:
            for path in (home, log):
                shutil.chown(path, "postgres", "postgres")
        make = [folder / "initdb", "-D", home / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale"]
        with log.open("w") as output:
            subprocess.run([*make, "-N"], stdout=output, stderr=output, cwd=home, check=True, **owner)
            port = _free_port()
            options = {
                "listen_addresses": "127.0.0.1",
                "port": port,
                "unix_socket_directories": "",
                "max_connections": 200,
            }
            if not is_durable:
                options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
            start = [folder / "postgres", "-D", home / "data"]
            start += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
            # A session of its own: Ctrl+C is for the tests, which still need the database to clean up.
            server = subprocess.Popen(start, stdout=output, stderr=output, cwd=home, start_new_session=True, **owner)
        _wait_for(server, folder, port)
        yield f"postgres://postgres@127.0.0.1:{port}/postgres"
    except BaseException:
        sys.stderr.write(log.read_text()[-2000:] if server is None or server.poll() is not None else "")
        raise
    finally:
        if server is not None:
            server.send_signal(signal.SIGINT)
            server.wait(PATIENCE_SECONDS)
        shutil.rmtree(home, ignore_errors=True)


def _wait_for(server: subprocess.Popen[bytes], folder: Path, port: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    ask = [folder / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(ask, check=False).returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            sys.exit("The throw-away PostgreSQL did not start.")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _has_postgres_user() -> bool:
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
