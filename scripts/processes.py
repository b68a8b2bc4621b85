"""Starts every line of a Procfile: `processes.py Procfile`. When one ends, all end.

So they do on Ctrl+C, SIGTERM and a closed terminal, and on Linux even when this process is killed.
"""

import ctypes
import functools
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import honcho.manager
from honcho.environ import parse_procfile
from honcho.process import Popen, Process

# A worker in the middle of a call to AssetPay may need ASSETPAY_TIMEOUT_SECONDS to end in order.
honcho.manager.KILL_WAIT = 15


class BoundProcess(Process):
    """One line of the Procfile, told by the kernel when we are gone."""

    def run(self, events=None, ignore_signals=False):
        """Runs in a process of its own, between us and the command."""
        end_with_parent(signal.SIGKILL)
        self._child_ctor = functools.partial(Popen, preexec_fn=functools.partial(end_with_parent, signal.SIGTERM))
        super().run(events, ignore_signals)


def main():
    """Run until one of the commands ends or we are told to stop; returns the exit status."""
    # The standard way of later Pythons would put a helper between us and the processes.
    multiprocessing.set_start_method("fork")
    end_with_parent(signal.SIGTERM)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    manager = honcho.manager.Manager()
    manager._process_ctor = BoundProcess
    for name, command in parse_procfile(Path(sys.argv[1]).read_text()).processes.items():
        manager.add_process(name, "exec " + command, env=dict(os.environ))
    try:
        manager.loop()
    except OSError:
        # Nobody reads our output any more. The processes end with us.
        os._exit(1)
    # Stopped on purpose is no failure, or make would call it an error.
    return 0 if manager.returncode in (130, 143) else manager.returncode or 1


def end_with_parent(number):
    """Have the kernel send signal `number` to this process when its parent dies; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, int(number))  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    sys.exit(main())
