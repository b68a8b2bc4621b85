"""Processes of the desk that can be killed by the thousand: `python -m tests.running.nursery FOLDER web|worker|clock …`

The product is loaded once and each process is forked from there, so that one that was killed is back at once; a
supervisor restarts it, as an installation does. A file in FOLDER names a point at which whoever comes to it next dies.
"""

import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import django

ORDER = "die-at"


def main(folder: Path, role: str, arguments: list[str]) -> None:
    """Load, arm, and keep one process of the role alive."""
    django.setup()
    import_all()
    for name in sorted({name for name, _ in kills.POINTS}):
        obey(name, folder / ORDER)
    # What waits for half a minute in earnest waits for two seconds here: a thousand kills shall fit into an hour.
    judgement.RESEND_PAUSE = timedelta(seconds=2)
    if role == "web":
        sys.argv = ["gunicorn", "assetpay_admin.wsgi", "--preload", "--workers", "2", *arguments]
        run()  # gunicorn is its own supervisor
        return
    while True:
        child = os.fork()
        if child == 0:
            execute_from_command_line(["manage.py", *arguments])
            os._exit(0)
        os.waitpid(child, 0)
        time.sleep(0.05)  # no storm of forks where it cannot live at all


def import_all() -> None:
    """Everything that a point may name, and what the processes need."""
    global kills, judgement, run, execute_from_command_line
    import httpcore._backends.sync  # noqa: F401, PLC0415 - after django.setup(), as all of these
    from django.core.management import execute_from_command_line  # noqa: PLC0415
    from gunicorn.app.wsgiapp import run  # noqa: PLC0415

    import assetpay_admin.wsgi  # noqa: F401, PLC0415
    from tests.faults import kills  # noqa: PLC0415
    from withdrawals import urls  # noqa: F401, PLC0415
    from withdrawals.actions import judgement  # noqa: PLC0415


def obey(name: str, order: Path) -> None:
    """Let this process die at the point when the order says so; the first to come there takes the order away."""
    owner, attribute = kills.find(name)
    kept = vars(owner)[attribute]
    called = kept.__func__ if isinstance(kept, staticmethod) else kept

    def die_if_told(when: str) -> None:
        try:
            if order.read_text() != f"{name} {when}":
                return
            order.rename(order.with_suffix(".done"))
        except FileNotFoundError:
            return
        kills.die()

    def watched(*args: Any, **kwargs: Any) -> Any:
        die_if_told("before")
        given = called(*args, **kwargs)
        die_if_told("after")
        return given

    setattr(owner, attribute, staticmethod(watched) if isinstance(kept, staticmethod) else watched)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
