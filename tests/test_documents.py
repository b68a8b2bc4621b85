"""Every command in the documents is run, every link leads somewhere, and pages follow the code."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_settings import GOOD
from withdrawals.models import AlarmKind

pytestmark = pytest.mark.any_database

PROJECT = Path(__file__).resolve().parent.parent
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md"), *PROJECT.glob("docs/decisions/*.md")])

# What cannot run inside a test, and where it is tried instead.
NOT_HERE = {
    "make run": "starts servers and stays; tests/sandbox/test_demo.py and the stories start the same processes",
    "make serve": "starts servers and stays; its processes run in tests/running",
    "make test": "is what runs this test",
    "make soak": "takes an hour; each of its runs is a test that `make test` runs small",
    "make check": ".ci/run runs it before the tests",
    "make format": "would write the files that are being tested; `make check` runs the same tools",
    "make audit": "asks the world; its parts without the world are run below",
    "docker ": "no container engine in the tests: tests/running/test_image.py runs the image's commands without one, "
    "tests/running/test_two_roles.py those of compose.yaml with its secrets and roles",
    "export DESK_HOST=": "is for docker",
    ".venv/bin/pytest tests/actions -x": "is what runs this test",
    ".venv/bin/python tests/postgres.py .venv/bin/pytest": "scripts/test.sh runs just this",
    "DATABASE_URL=postgres://": "wants a server of its own: tests/test_runtime_role.py runs the same on one",
    "make backup": "tests/running/test_backup.py runs its script on both databases",
    "make restore": "tests/running/test_backup.py runs its script on both databases",
}


def commands() -> list[tuple[str, str]]:
    """Each line of each fenced shell block: the page and the line, without its comment."""
    found = []
    for page in PAGES:
        for block in re.findall(r"^```(?:sh|shell|bash|console)\n(.*?)^```", page.read_text(), flags=re.M | re.S):
            lines = block.replace("\\\n", " ").splitlines()
            found += [(str(page.relative_to(PROJECT)), line.split("  #")[0].split(" # ")[0].strip()) for line in lines]
    return [(page, line) for page, line in found if line and not line.startswith("#")]


def runnable() -> list[tuple[str, str]]:
    return [(page, line) for page, line in commands() if not line.startswith(tuple(NOT_HERE))]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project to run commands in, with an empty database and an account to ask for."""
    copy = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if not name.startswith(("docs/screens/", "tests/")) and (PROJECT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, copy / name)
    (copy / ".venv").symlink_to(Path(sys.prefix))
    run("python manage.py migrate -v0", copy)
    run("python manage.py create_agent you@example.com --role agent", copy)
    return copy


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one line as an operator would, with good settings and AssetPay out of reach."""
    kept = {name: value for name, value in os.environ.items() if name in {"HOME", "LANG"}}
    environment = (
        kept
        | GOOD
        | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin",
            "DATABASE_URL": f"sqlite:///{folder}/desk.sqlite3",
            "TRUSTED_PROXY_COUNT": "1",
            "DEBUG": "true",
            "ASSETPAY_BASE_URL": "http://127.0.0.1:9",
        }
    )
    if "check --deploy" in command:
        # Only production's settings can pass it, and it asks AssetPay nothing.
        environment |= {name: GOOD[name] for name in ("DEBUG", "ASSETPAY_BASE_URL")}
    return subprocess.run(
        ["/bin/sh", "-ec", command],
        cwd=folder,
        env=environment,
        input="",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(("document", "command"), runnable())
def test_the_commands_of_the_documents_run(document: str, command: str, clone: Path) -> None:
    if command.startswith(("PROXY_BIND", "haproxy")) and shutil.which("haproxy", path="/usr/sbin:/usr/bin") is None:
        pytest.skip("no haproxy here")
    if "create_agent" in command:
        # Whoever the document names has an account here already, for the commands that ask for it.
        command = command.replace("you@", f"somebody-{document.removesuffix('.md').replace('/', '-').lower()}@")

    done = run(command, clone)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_documents_hold_commands_and_every_exception_is_needed() -> None:
    lines = [line for _, line in commands()]

    assert len(runnable()) >= 8
    assert [start for start in NOT_HERE if not any(line.startswith(start) for line in lines)] == []


@pytest.mark.parametrize("document", PAGES, ids=lambda document: str(document.relative_to(PROJECT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())

    assert [each for each in targets if "://" not in each and not (document.parent / each).exists()] == []


def test_every_alarm_has_its_line_in_operate() -> None:
    lines = re.findall(r"^\| `([a-z_]+)` \| .+ \| .+ \|$", (PROJECT / "docs/operate.md").read_text(), flags=re.M)

    assert set(lines) == set(AlarmKind.values)


def test_every_alert_has_its_line_in_operate() -> None:
    rules = re.findall(r"- alert: (\w+)", (PROJECT / "deploy/alerts.yml").read_text())
    lines = re.findall(r"^\| `([A-Z]\w+)` \| .+ \| .+ \|$", (PROJECT / "docs/operate.md").read_text(), flags=re.M)

    assert lines == rules


@pytest.mark.parametrize("script", ["configure_page.py", "licences.py", "vendored.py"])
def test_what_is_written_by_a_script_is_as_the_script_writes_it(script: str) -> None:
    command = [sys.executable, f"scripts/{script}", "--check"]
    checked = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stderr


def test_a_vendored_file_that_changed_is_named(clone: Path) -> None:
    file = clone / "static/vendor/basecoat/basecoat.css"
    before = file.read_bytes()
    file.write_bytes(before + b" ")
    try:
        checked = run("python scripts/vendored.py --check", clone)
    finally:
        file.write_bytes(before)

    assert checked.returncode == 1
    assert "basecoat/basecoat.css" in checked.stderr


def test_the_map_of_the_documents_is_whole() -> None:
    map_ = (PROJECT / "docs/README.md").read_text()

    assert [page.name for page in PROJECT.glob("docs/*.md") if page.name != "README.md" and page.name not in map_] == []


def test_every_decision_is_in_their_list() -> None:
    listed = (PROJECT / "docs/decisions/README.md").read_text()

    assert [page.name for page in PROJECT.glob("docs/decisions/0*.md") if page.name not in listed] == []
