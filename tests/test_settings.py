"""A setting that cannot work stops the start with one line that names it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_database

PROJECT = Path(__file__).resolve().parent.parent
GOOD = {
    "ENV_FILE": os.devnull,
    "DJANGO_SETTINGS_MODULE": "assetpay_admin.settings",
    "DEBUG": "false",
    "SECRET_KEY": "the quick brown fox jumps over the lazy dog, 50 signs",
    "MFA_SEED_KEY": "pack my box with five dozen liquor jugs, 50 signs too",
    "ALLOWED_HOSTS": "desk.example",
    "ASSETPAY_BASE_URL": "https://api.assetpay.gg",
    "ASSETPAY_MERCHANT_ID": "merchant",
    "ASSETPAY_API_KEY": "ap_key",
    "ASSETPAY_API_SECRETS": "a-secret-of-enough-bytes",
    "DATABASE_URL": "sqlite:///:memory:",
}


# `manage.py check` for each line of the input, in a fork of a process that has loaded what reads no setting.
FORKED = """
import json, os, runpy, sys, tempfile
import django.core.management, environ, structlog

for line in sys.stdin:
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            os.environ.clear()
            os.environ.update(json.loads(line))
            assert "assetpay_admin.settings" not in sys.modules
            sys.argv = ["manage.py", "check"]
            runpy.run_path("manage.py", run_name="__main__")
            sys.exit()
        _, status = os.waitpid(child, 0)
        output.seek(0)
        errors.seek(0)
        told = os.waitstatus_to_exitcode(status), output.read().decode(), errors.read().decode()
    print(json.dumps(told), flush=True)
"""
Check = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(changed: dict[str, str | None]) -> dict[str, str]:
    """Good settings but for those."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    return kept | {name: value for name, value in (GOOD | changed).items() if value is not None}


def start(*arguments: str, **changed: str | None) -> subprocess.CompletedProcess[str]:
    """Start the desk's command line, or another process of it, with good settings but for those."""
    command = [sys.executable, *(arguments or ("manage.py", "check"))]
    return subprocess.run(
        command, cwd=PROJECT, env=environment(changed), capture_output=True, text=True, check=False, timeout=200
    )


@pytest.fixture(scope="module")
def check() -> Iterator[Check]:
    """As `start()` without arguments, for a quarter of the work."""
    command = [sys.executable, "-c", FORKED]
    kept = environment({})
    with subprocess.Popen(
        command, cwd=PROJECT, env=kept, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout

        def ask(**changed: str | None) -> subprocess.CompletedProcess[str]:
            print(json.dumps(environment(changed)), file=process.stdin, flush=True)
            code, output, errors = json.loads(process.stdout.readline())
            return subprocess.CompletedProcess(command, code, output, errors)

        yield ask
        process.stdin.close()


def test_good_settings_start() -> None:
    started = start()

    assert started.returncode == 0
    assert started.stdout.startswith("System check identified no issues")


def test_a_forked_check_says_what_one_that_was_started_says(check: Check) -> None:
    for changed in ({}, {"PORT": "0"}):
        forked, started = check(**changed), start(**changed)

        assert (forked.returncode, forked.stdout, forked.stderr) == (
            started.returncode,
            started.stdout,
            started.stderr,
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "maybe"),
        ("SECRET_KEY", None),
        ("SECRET_KEY", "short"),
        ("MFA_SEED_KEY", None),
        ("ALLOWED_HOSTS", None),
        ("ALLOWED_HOSTS", "https://desk.example"),
        ("ASSETPAY_API_KEY", "ap key"),
        ("ASSETPAY_AUTHORIZATION_SCHEME", "Bearer "),
        ("EMAIL_URL", "nonsense"),
        ("PORT", "eight thousand"),
        ("CSRF_TRUSTED_ORIGINS", "desk.example"),
        ("DATABASE_URL", "mysql://localhost/x"),
        ("ASSETPAY_BASE_URL", None),
        ("ASSETPAY_BASE_URL", "https://api.assetpay.io"),
        ("ASSETPAY_BASE_URL", "http://127.0.0.1:8001"),
        ("ASSETPAY_MERCHANT_ID", None),
        ("ASSETPAY_API_SECRETS", None),
        ("ASSETPAY_API_SECRETS", "fifteen-bytes--"),
        ("ASSETPAY_API_SECRETS", "a-secret-of-enough-bytes,"),
        ("ASSETPAY_CANCELS_PER_MINUTE", "0"),
        ("ASSETPAY_CANCELS_PER_MINUTE", "ten"),
        ("ASSETPAY_TIMEOUT_SECONDS", "-1"),
        ("CALLBACK_TOLERANCE_SECONDS", "0"),
        ("CANCEL_WINDOW_SECONDS", "60"),
        ("UNDO_SECONDS", "-1"),
        ("REFUND_APPROVAL_LIMIT", "a lot"),
        ("REFUND_APPROVAL_LIMIT", "NaN"),
        ("TRUSTED_PROXY_COUNT", "many"),
        ("RECONCILE_SECONDS", "1"),
        ("DEMO", "true"),
        ("METRICS_TOKEN", "short"),
        ("SENTRY_DSN", "http://key@sentry.example/1"),
        ("SENTRY_DSN", "https://nonsense"),
        ("SETTINGS_VERSION", "2"),
        ("OIDC_CLIENT_ID", "desk"),
        ("OIDC_CLIENT_SECRET", "secret"),
        ("SECRET_KEY_FILE", "/nowhere/at/all"),
        ("SECRET_KEY_FILE", os.devnull),
    ],
)
def test_a_setting_that_cannot_work_is_named_in_one_line(check: Check, name: str, value: str | None) -> None:
    started = check(**{name: value})

    assert started.returncode == 1
    assert started.stderr.count("\n") == 1, started.stderr
    assert f"Setting {name}:" in started.stderr


@pytest.mark.parametrize(
    "issuer", ["http://id.example", "http://127.0.0.1:9000", "https://id.example?x=1", "https://a:b@id.example", "id"]
)
def test_an_issuer_that_is_no_plain_https_address_is_refused(check: Check, issuer: str) -> None:
    started = check(OIDC_ISSUER=issuer, OIDC_CLIENT_ID="desk", OIDC_CLIENT_SECRET="secret")

    assert "Setting OIDC_ISSUER:" in started.stderr
    assert started.returncode == 1


def test_a_company_log_in_starts_with_all_of_its_settings_only(check: Check) -> None:
    together = {"OIDC_ISSUER": "https://id.example", "OIDC_CLIENT_ID": "desk", "OIDC_CLIENT_SECRET": "secret"}

    assert check(**together).returncode == 0
    assert "Setting OIDC_CLIENT_ID:" in check(OIDC_ISSUER="https://id.example").stderr


@pytest.mark.parametrize(
    "command",
    [
        ["manage.py", "db_worker"],
        ["manage.py", "clock"],
        ["manage.py", "migrate"],
        ["-m", "gunicorn", "assetpay_admin.wsgi", "--bind", "127.0.0.1:0", "--no-control-socket"],
    ],
    ids=lambda command: command[-1] if "gunicorn" not in command else "gunicorn",
)
def test_every_process_refuses_bad_settings_and_says_so(command: list[str]) -> None:
    started = start(*command, UNDO_SECONDS="-1")

    assert started.returncode != 0
    assert started.stderr.count("Setting UNDO_SECONDS: must be from 0 to 300, not -1.") >= 1
    assert "Traceback" not in started.stderr


def test_a_secret_may_lie_in_a_file(check: Check, tmp_path: Path) -> None:
    file = tmp_path / "secret_key"
    file.write_text("s" * 50 + "\n")

    assert check(SECRET_KEY=None, SECRET_KEY_FILE=str(file)).returncode == 0
    assert "Setting SECRET_KEY_FILE:" in check(SECRET_KEY=None, SECRET_KEY_FILE=str(tmp_path / "nowhere")).stderr
    file.write_text("short")
    assert "Setting SECRET_KEY:" in check(SECRET_KEY=None, SECRET_KEY_FILE=str(file)).stderr


def test_a_secret_is_never_repeated_in_the_complaint(check: Check) -> None:
    assert "fifteen-bytes--" not in check(ASSETPAY_API_SECRETS="fifteen-bytes--").stderr
