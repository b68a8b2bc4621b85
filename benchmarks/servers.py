"""Which web server, with how many workers and threads: intake and lists under each, in turn."""

from benchmarks.intake import SECONDS, Load, drive, procfile, serve
from benchmarks.report import Row

ROUNDS = 2
CANDIDATES = {
    "gthread 2 x 4": "--worker-class gthread --workers 2 --threads 4",
    "gthread 1 x 8": "--worker-class gthread --workers 1 --threads 8",
    "sync 2": "--worker-class sync --workers 2",
    "sync 4": "--worker-class sync --workers 4",
}
# Another program with a command line of its own; what it cannot do is refused where the desk asks for it.
GRANIAN = "granian assetpay_admin.wsgi:application --interface wsgi --host 127.0.0.1 --port $PORT --no-log --no-ws"
OTHERS = {
    "granian 2 x 4": f"{GRANIAN} --workers 2 --blocking-threads 4",
    "granian 2 x 1": f"{GRANIAN} --workers 2 --blocking-threads 1",
}
CHOSEN = "--worker-class gthread --workers 2 --threads 4"


def measure_servers() -> list[Row]:
    """Callbacks at 8 connections under each candidate; the best of some rounds."""
    line, rows = procfile(), []
    if CHOSEN not in line:
        raise RuntimeError("The Procfile no longer says what this takes the place of.")
    commands = {name: line.replace(CHOSEN, words) for name, words in CANDIDATES.items()} | OTHERS
    best: dict[str, Load] = {}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            with serve("assetpay_admin.wsgi", like=command) as server:
                drive(server.port, 2, 1.0)
                load = drive(server.port, 8, SECONDS)
            if name not in best or load.per_second > best[name].per_second:
                best[name] = load
    for name, load in best.items():
        detail = f"p50 {load.wait.p50:.0f} ms, p99 {load.wait.p99:.0f} ms, {load.refused} refused"
        rows.append(Row(f"intake under {name}", load.per_second, "a second", detail=detail))
    return rows
