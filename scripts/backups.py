"""Takes and restores a backup of the database in the settings: `backups.py backup [FILE]`, `backups.py restore FILE`.

SQLite by its online backup, PostgreSQL by pg_dump and pg_restore; either is the whole database at one moment.
"""

import datetime
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from django.conf import settings  # the project is found by the line above
from django.core.exceptions import ImproperlyConfigured

FOLDER = Path("var/backups")


def main():
    """Do what the arguments say; a problem is one line and status 1."""
    try:
        database = settings.DATABASES["default"]
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    act, name = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    is_sqlite = database["ENGINE"].endswith("sqlite3")
    if act == "backup":
        file = Path(name) if name else FOLDER / (stamp() + (".sqlite3" if is_sqlite else ".dump"))
        file.parent.mkdir(parents=True, exist_ok=True)
        # Under another name until it is whole: a backup that was cut off must not look like one.
        part = file.with_name(file.name + ".part")
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        (backup_sqlite if is_sqlite else backup_postgres)(database, part)
        part.rename(file)
        sys.stdout.write(f"{file}\n")
    else:
        file = Path(name)
        if not file.is_file():
            sys.exit(f"There is no backup {file}.")
        (restore_sqlite if is_sqlite else restore_postgres)(database, file)


def stamp():
    """The time, for a file's name."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H-%M-%SZ")


def backup_sqlite(database, file):
    """Copy page by page while others write; the copy is checked before it counts."""
    with closing(sqlite3.connect(database["NAME"])) as source, closing(sqlite3.connect(file)) as target:
        source.backup(target)
        found = target.execute("PRAGMA integrity_check").fetchone()[0]
        if found != "ok":
            sys.exit(f"The copy is damaged: {found}")
        target.execute("PRAGMA journal_mode=DELETE")
    sync(file)


def restore_sqlite(database, file):
    """Put the file in place; what is there now stays beside it under another name."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as backup:
        try:
            found = backup.execute("PRAGMA integrity_check").fetchone()[0]
        except sqlite3.DatabaseError as error:
            sys.exit(f"{file} is no backup of SQLite: {error}")
        if found != "ok":
            sys.exit(f"{file} is damaged: {found}")
    place = Path(database["NAME"])
    if place.exists():
        with closing(sqlite3.connect(place, timeout=1)) as present:
            try:
                # Nobody else may be in it, and its log goes into the file before that is set aside.
                present.execute("PRAGMA locking_mode=EXCLUSIVE")
                present.execute("BEGIN EXCLUSIVE")
                present.rollback()
                present.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.OperationalError as error:
                sys.exit(f"The desk still runs, stop it first: {error}")
        aside = place.with_name(f"{place.name}.before-{stamp()}")
        place.rename(aside)
        for ending in ("-wal", "-shm"):
            Path(f"{place}{ending}").unlink(missing_ok=True)
        sys.stdout.write(f"What was there is kept as {aside}.\n")
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(place.name + ".part")
    shutil.copyfile(file, part)
    part.chmod(0o600)
    sync(part)
    part.rename(place)


def backup_postgres(database, file):
    """One consistent snapshot of the database, compressed."""
    run("pg_dump", database, "--format=custom", "--no-owner", "--file", str(file))
    run("pg_restore", database, "--list", str(file), connects=False)
    sync(file)


def restore_postgres(database, file):
    """Into an empty database, in one transaction: all of it or nothing. Rights of other roles stay out."""
    count = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
    tables = run("psql", database, "--tuples-only", "--no-align", "--command", count).strip()
    if tables != "0":
        sys.exit(
            f"The database {database['NAME']} holds {tables} tables: make an empty one and name it in DATABASE_URL."
        )
    whole = ("--exit-on-error", "--single-transaction")
    run("pg_restore", database, "--no-owner", "--no-privileges", *whole, str(file), into=True)


def run(program, database, *arguments, connects=True, into=False):
    """Run one of PostgreSQL's programs; its output. What is secret goes by the environment, not by the command line."""
    found = shutil.which(program)
    if found is None:
        folders = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda path: float(path.parts[4]))
        if not folders:
            sys.exit(f"{program} is missing: install PostgreSQL's client programs.")
        found = str(folders[-1])
    environment = dict(os.environ)
    if connects:
        names = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGPASSWORD": "PASSWORD", "PGDATABASE": "NAME"}
        environment |= {key: str(database[name]) for key, name in names.items() if database.get(name)}
    if into:
        arguments = ("--dbname", database["NAME"], *arguments)
    command = [found, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 # our own
    if done.returncode:
        sys.exit(f"{program} failed: {done.stderr.strip()}")
    return done.stdout


def sync(file):
    """On the disk before anybody is told of it."""
    with file.open("rb") as written:
        os.fsync(written.fileno())


if __name__ == "__main__":
    main()
