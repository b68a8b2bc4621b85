"""The five minutes of docs/deploy.md on PostgreSQL: its secrets, its commands, its environment, without containers.

What compose.yaml starts runs here as processes: `migrate` as the owner of the tables, everything else as the role that
it made, which can only append to the audit log.
"""

import base64
import hashlib
import hmac
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import simplejson
import yaml
from django.db import connection
from django.utils import timezone

from sandbox.testing import RunningSandbox, running_sandbox
from tests.desk import ask as click
from tests.desk import item_of, person, signed
from tests.faults.door import DOOR, moment
from tests.running.processes import CLOCK, PROJECT, free_port, running, wait_until, web
from tests.running.test_backup import leading_to
from tests.running.test_proxy import ask
from withdrawals.models import AuditEntry, Cancellation, Heartbeat

pytestmark = pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no roles")

HOST = "desk.example.com"
SERVICES: dict[str, Any] = yaml.safe_load((PROJECT / "compose.yaml").read_text())["services"]
# Ours, so that many may try it on one server at once; compose.yaml and make_secrets.sh name the true ones.
OWNER, RUNTIME, NAME = (f"deploy_{what}_{os.getpid()}" for what in ("owner", "runtime", "desk"))


@dataclass(frozen=True)
class Machine:
    """The folder in which an operator typed what the document says; `server` is the superuser's address."""

    folder: Path
    server: str
    sandbox: RunningSandbox

    def environment(self, service: str) -> dict[str, str]:
        """What this service of compose.yaml is given: its settings, and its secrets as files of its own."""
        mounted = self.folder / "run" / service
        mounted.mkdir(parents=True, exist_ok=True)
        for secret in SERVICES[service]["secrets"]:
            source, target = (secret, secret) if isinstance(secret, str) else (secret["source"], secret["target"])
            shutil.copy(self.folder / "secrets" / source, mounted / target)
        lines = (self.folder / "desk.env").read_text().splitlines()
        settings = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        told = {name: here(str(value), mounted) for name, value in SERVICES[service]["environment"].items()}
        return {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "ENV_FILE": os.devnull} | settings | told

    def started(self, service: str) -> dict[str, str]:
        """The same for a process that `running` starts: nothing of the tests' own, and the sandbox as AssetPay."""
        of_tests = dict.fromkeys(
            ("DATABASE_URL", *(secret.name.upper() for secret in (self.folder / "secrets").iterdir())), ""
        )
        # Production's settings would not let it.
        sandbox = {"DEBUG": "true", "ASSETPAY_BASE_URL": self.sandbox.base_url}
        return of_tests | self.environment(service) | sandbox

    def command(self, service: str) -> list[str]:
        """What compose.yaml starts, with its secrets where they lie here."""
        return [here(word, self.folder / "run" / service) for word in SERVICES[service]["command"]]

    def migrate(self) -> str:
        """`docker compose run --rm migrate`"""
        command, environment = self.command("migrate"), self.environment("migrate")
        done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def address(self, of: str) -> str:
        """The DATABASE_URL that lies in this secret."""
        return (self.folder / "secrets" / of).read_text()


def here(text: str, folder: Path) -> str:
    """A path of the container's secrets, on this machine."""
    return text.replace("/run/secrets", str(folder))


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """What is there once the document was followed as far as `docker compose run --rm migrate`.

    `scripts/make_secrets.sh`, what is put in by hand, PostgreSQL as its image starts it the first time, migrations.
    """
    tmp_path = tmp_path_factory.mktemp("machine")
    (tmp_path / "scripts").mkdir()
    shutil.copy(PROJECT / "scripts" / "make_secrets.sh", tmp_path / "scripts")
    shutil.copy(PROJECT / ".env.example", tmp_path)
    subprocess.run([tmp_path / "scripts" / "make_secrets.sh", HOST], check=True, capture_output=True)
    secrets, env = tmp_path / "secrets", tmp_path / "desk.env"
    place = connection.settings_dict
    image = SERVICES["postgres"]["environment"]
    for name in ("owner_database_url", "runtime_database_url"):
        (secrets / name).chmod(0o600)
        text = (secrets / name).read_text()
        text = text.replace(f"//{image['POSTGRES_USER']}:", f"//{OWNER}:").replace("//desk_runtime:", f"//{RUNTIME}:")
        text = text.replace(f"@postgres:5432/{image['POSTGRES_DB']}", f"@{place['HOST']}:{place['PORT']}/{NAME}")
        assert f":{place['PORT']}/{NAME}" in text
        (secrets / name).write_text(text)
    server = f"postgresql://{place['USER']}:{place['PASSWORD']}@{place['HOST']}:{place['PORT']}/postgres"
    with running_sandbox() as sandbox, psycopg.connect(server, autocommit=True) as admin:
        for name, value in (("api_key", sandbox.api_key), ("api_secrets", ",".join(sandbox.secrets))):
            (secrets / f"assetpay_{name}").chmod(0o600)
            (secrets / f"assetpay_{name}").write_text(value)
        env.write_text(env.read_text().replace("MERCHANT_ID=", f"MERCHANT_ID={sandbox.merchant_id}"))
        admin.execute(f'CREATE ROLE "{OWNER}" SUPERUSER LOGIN')  # type: ignore[call-overload] # names are ours
        admin.execute(f'CREATE DATABASE "{NAME}" OWNER "{OWNER}"')  # type: ignore[call-overload]
        try:
            made = Machine(tmp_path, server, sandbox)
            assert "can only read and append" in made.migrate()
            yield made
        finally:
            admin.execute(f'DROP DATABASE "{NAME}" WITH (FORCE)')  # type: ignore[call-overload]
            for role in (RUNTIME, OWNER):
                admin.execute(f'DROP ROLE IF EXISTS "{role}"')  # type: ignore[call-overload]


@pytest.mark.django_db(transaction=True)
def test_f74_the_documented_deploy_runs_everything_but_migrate_as_a_role_that_only_appends(machine: Machine) -> None:
    port, sandbox = free_port(), machine.sandbox
    made = sandbox.control.make_trade(age_seconds=3_600, announce=False, auto_cancel_seconds=None)
    item_id = made["items"][0]["id"]
    body = simplejson.dumps({"trade": made}).encode()
    headers = {"Host": HOST, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9", "X-Callback-Copy": "1"}
    headers["X-AssetPay-Signature"] = signed(body, now=moment(), secret=sandbox.secrets[0])

    with ExitStack() as stack:
        stack.enter_context(web(port, **machine.started("web")))
        assert machine.command("clock")[1:] == CLOCK
        for service in ("worker", "clock"):
            stack.enter_context(running(*machine.command(service)[1:], **machine.started(service)))
        stack.enter_context(leading_to(machine.address("owner_database_url")))
        wait_until(lambda: ask(port, "GET", "/health/ready", **headers) == 200)
        assert ask(port, "POST", DOOR, body, **headers) == 200
        click(item_of(made["id"], item_id), actor=person(), now=timezone.now())
        wait_until(lambda: Cancellation.objects.get().state not in ("requested", "sending"))
        assert Cancellation.objects.get().state in ("accepted", "confirmed"), Cancellation.objects.values()
        wait_until(lambda: Heartbeat.objects.count() == 2)

        assert roles_at_work(machine) == {RUNTIME}
        assert AuditEntry.objects.filter(action="cancellation.accepted").exists()
        refused_to_change_the_log(machine)


def roles_at_work(machine: Machine) -> set[str]:
    """As whom anybody but this test is logged in to the desk's database."""
    with psycopg.connect(machine.server) as admin:
        rows = admin.execute(
            "SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = %s AND usename <> %s",
            [NAME, admin.info.user],
        )
        return {row[0] for row in rows}


def refused_to_change_the_log(machine: Machine) -> None:
    with psycopg.connect(machine.address("runtime_database_url"), autocommit=True) as runtime:
        runtime.execute("SELECT count(*) FROM withdrawals_auditentry")
        for statement in (
            "UPDATE withdrawals_auditentry SET reason = 'another'",
            "DELETE FROM withdrawals_auditentry",
            "ALTER TABLE withdrawals_auditentry DISABLE TRIGGER ALL",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                runtime.execute(statement)  # type: ignore[call-overload] # as above


def test_f74_the_check_is_content_with_the_deployed_role_and_not_with_the_owner(machine: Machine) -> None:
    def checked(service: str) -> str:
        command = [sys.executable, "manage.py", "check", "--deploy", "--database", "default"]
        environment = machine.environment(service)
        done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    assert "withdrawals.W002" in checked("migrate")
    assert "no issues" in checked("web")


def test_a_new_release_grants_again_and_a_new_password_takes_effect(machine: Machine) -> None:
    file = machine.folder / "secrets" / "runtime_database_url"
    first = urlsplit(file.read_text()).password
    file.write_text(file.read_text().replace(str(first), "another-one-@".replace("@", "%40")))

    machine.migrate()

    with psycopg.connect(machine.server) as admin:
        row = admin.execute("SELECT rolpassword, rolsuper, rolcreaterole FROM pg_authid WHERE rolname = %s", [RUNTIME])
        sealed, *powers = row.fetchone() or ()
    assert powers == [False, False]
    assert opens(sealed, "another-one-@")
    assert not opens(sealed, str(first))


def opens(sealed: str, password: str) -> bool:
    """Whether PostgreSQL would let this password in (RFC 5802); the throw-away server itself asks for none."""
    head, keys = sealed.removeprefix("SCRAM-SHA-256$").split("$")
    rounds, salt = head.split(":")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(rounds))
    key = hmac.digest(salted, b"Client Key", "sha256")
    return hashlib.sha256(key).digest() == base64.b64decode(keys.split(":")[0])


def test_only_migrate_is_given_the_owners_address() -> None:
    def given(service: str) -> set[str]:
        each = [secret if isinstance(secret, str) else secret["source"] for secret in SERVICES[service]["secrets"]]
        return {name for name in each if "owner" in name or name == "postgres_password"}

    with_it = {name for name, service in SERVICES.items() if "secrets" in service and given(name)}
    assert with_it == {"postgres", "migrate"}
    for name in ("web", "worker", "clock"):
        assert SERVICES[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


@pytest.mark.parametrize(
    "might", ["SUPERUSER", "CREATEROLE", "IN ROLE {owner}"], ids=["superuser", "makes roles", "member of the owner"]
)
def test_a_role_that_could_not_be_kept_from_changing_the_log_is_refused(
    machine: Machine, might: str, tmp_path: Path
) -> None:
    mighty, owner, login = f"{RUNTIME}_mighty", f"{OWNER}_plain", tmp_path / "url"
    login.write_text(machine.address("runtime_database_url").replace(RUNTIME, mighty))
    with psycopg.connect(machine.server, autocommit=True) as admin:
        # As on a server where the owner is no superuser.
        admin.execute(f'CREATE ROLE "{owner}" LOGIN CREATEROLE')  # type: ignore[call-overload] # as above
        powers = might.format(owner=f'"{owner}"')
        admin.execute(f'CREATE ROLE "{mighty}" LOGIN {powers}')  # type: ignore[call-overload]
        try:
            url = machine.address("owner_database_url").replace(OWNER, owner)
            environment = machine.environment("migrate") | {"DATABASE_URL": url}
            del environment["DATABASE_URL_FILE"]
            command = [sys.executable, "manage.py", "grant_runtime", "--login", str(login)]
            done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
        finally:
            admin.execute(f'DROP ROLE "{mighty}"')  # type: ignore[call-overload]
            admin.execute(f'DROP ROLE "{owner}"')  # type: ignore[call-overload]

    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "cannot be kept" in done.stderr
