"""Run commands at the same time, and show their output one after the other: `at_once.py make a --and make b`.

The first speaks as it goes, the others when those before them have ended well. The first that failed is the last that
is shown, and gives the exit status: whoever reads the end reads the truth. The commands after it are stopped.
"""

import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from itertools import groupby
from typing import IO


def main(words: list[str]) -> int:
    """Start all, then wait for each in its turn."""
    commands = [list(group) for is_next, group in groupby(words, "--and".__eq__) if not is_next]
    # Stopped from outside: leave through the `finally` below. Ctrl+C reaches the commands too; they end first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, lambda *_: None)
    running: list[tuple[subprocess.Popen[bytes], IO[bytes] | None]] = []
    with ExitStack() as files:
        try:
            for command in commands:
                output = files.enter_context(tempfile.TemporaryFile()) if running else None
                process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603 # scripts/test.sh's own
                running.append((process, output))
            for process, output in running:
                process.wait()
                if output:
                    output.seek(0)
                    shutil.copyfileobj(output, sys.stdout.buffer)
                    sys.stdout.flush()
                if process.returncode != 0:
                    # A negative one says which signal ended it; a shell says it so.
                    return process.returncode if process.returncode > 0 else 128 - process.returncode
        finally:
            for process, _ in running:
                process.terminate()
            for process, _ in running:
                process.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
