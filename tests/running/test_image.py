"""The image without a container engine: its Dockerfile linted, its commands run in a clean folder and environment."""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.running.processes import PROJECT, end, free_port, wait_until, web_arguments
from tests.test_settings import GOOD

pytestmark = pytest.mark.any_database

DOCKERFILE = (PROJECT / "Dockerfile").read_text()


def test_the_linter_finds_nothing() -> None:
    linted = subprocess.run(
        [Path(sys.executable).parent / "hadolint", PROJECT / "Dockerfile"], capture_output=True, text=True, check=False
    )

    assert (linted.returncode, linted.stdout) == (0, "")


def test_the_image_runs_as_nobody_and_says_how_it_is() -> None:
    last = DOCKERFILE.rsplit("\nFROM ", 1)[1]

    assert re.search(r"^USER 10001$", last, flags=re.M)
    assert last.index("COPY --from=build") < last.index("USER 10001"), "its files are root's, so it cannot change them"
    assert "HEALTHCHECK" in last
    assert DOCKERFILE.count("\nFROM ") == 2


def test_nothing_secret_and_nothing_of_the_tests_goes_into_the_image() -> None:
    ignored = (PROJECT / ".dockerignore").read_text().split()

    assert ignored[ignored.index("*") :][0] == "*", "all is left out but what is named"
    assert not {"!tests", "!sandbox", "!.env", "!secrets", "!var"} & set(ignored)


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PROJECT / "compose.yaml").read_text())
    return found


def test_every_service_of_ours_is_locked_down() -> None:
    services = compose()["services"]

    assert set(services) == {"postgres", "migrate", "web", "worker", "clock", "proxy"}
    for name in ("migrate", "web", "worker", "clock", "proxy"):
        assert services[name]["read_only"], name
        assert services[name]["cap_drop"] == ["ALL"], name
        assert services[name]["security_opt"] == ["no-new-privileges:true"], name
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    assert float(re.findall(r"\d+", services["postgres"]["image"])[0]) >= 15


def test_every_secret_is_a_file_that_the_settings_know() -> None:
    told = compose()
    settings = (PROJECT / "assetpay_admin" / "settings.py").read_text()
    named = {
        value.rsplit("/", 1)[1] for value in told["services"]["web"]["environment"].values() if "/secrets/" in value
    }

    for name in ("migrate", "web", "worker", "clock"):
        given = [
            {"source": each, "target": each} if isinstance(each, str) else each
            for each in told["services"][name]["secrets"]
        ]
        assert named == {each["target"] for each in given} - {"runtime_database_url"}, name
        assert {each["source"] for each in given} <= set(told["secrets"]), name
    assert all(f'"{name.upper()}"' in settings for name in named)
    made = (PROJECT / "scripts" / "make_secrets.sh").read_text()
    for name, secret in told["secrets"].items():
        assert f"keep {secret['file'].removeprefix('secrets/')} " in made, name


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    """A folder as the image has it: what .dockerignore lets through, collected, then made read-only."""
    folder = tmp_path / "desk"
    folder.mkdir()
    for line in (PROJECT / ".dockerignore").read_text().split("\n"):
        if line.startswith("!"):
            place = PROJECT / line[1:]
            (folder / line[1:]).parent.mkdir(parents=True, exist_ok=True)
            if place.is_dir():
                shutil.copytree(place, folder / line[1:], ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(place, folder / line[1:])
    run_step = re.search(r"^RUN (DEBUG=false .+?)\n\n", DOCKERFILE, flags=re.M | re.S)
    assert run_step is not None
    step = run_step[1].replace("\\\n", " ").replace(".venv/bin/python", sys.executable)
    subprocess.run(["/bin/sh", "-ec", step], cwd=folder, env={"PATH": os.environ["PATH"]}, check=True)
    yield folder


def secrets_in_files(folder: Path) -> dict[str, str]:
    """Good settings as compose.yaml gives them: what is secret lies in files."""
    settings = {name: value for name, value in GOOD.items() if name != "DATABASE_URL"}
    for name in ("SECRET_KEY", "MFA_SEED_KEY", "ASSETPAY_API_KEY", "ASSETPAY_API_SECRETS"):
        (folder / name).write_text(settings.pop(name) + "\n")
        settings[f"{name}_FILE"] = str(folder / name)
    return settings


def test_the_commands_of_the_image_run_on_a_file_system_that_they_cannot_write(
    image: Path, database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "DATABASE_URL").write_text(database_url)
    port = free_port()
    environment = secrets_in_files(tmp_path) | {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PORT": str(port),
        "PYTHONDONTWRITEBYTECODE": "1",
        "DATABASE_URL_FILE": str(tmp_path / "DATABASE_URL"),
    }
    before = sorted(image.rglob("*"))

    def is_healthy() -> bool:
        command = re.search(r"^HEALTHCHECK .+CMD (\[.+\])$", DOCKERFILE, flags=re.M)
        assert command is not None
        checked = subprocess.run(
            json.loads(command[1]), cwd=image, env=environment, capture_output=True, text=True, check=False
        )
        return checked.returncode == 0

    assert not is_healthy(), "well before anybody listens"
    web = subprocess.Popen(
        [sys.executable, *web_arguments(), "--bind", f"127.0.0.1:{port}"],
        cwd=image,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(is_healthy)
        page = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        page.request("GET", "/accounts/login/", headers={"Host": "desk.example", "X-Forwarded-Proto": "https"})
        style = re.search(r'href="(/static/app\.[0-9a-f]+\.css)"', page.getresponse().read().decode())
        assert style is None or style[1]
    finally:
        end(web)

    assert sorted(image.rglob("*")) == before, "nothing was written"
