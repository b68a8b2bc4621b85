"""From nothing to the first answer, and the memory that a worker then has, beside a bare Django project's."""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from django.db import connection

from benchmarks.report import Row

ROUNDS = 5
MEASURE = """
import json, time
started = time.perf_counter()
{make}
from io import BytesIO
from django.db import connection
connection.ensure_connection()
answer = []
environ = {{"REQUEST_METHOD": "GET", "PATH_INFO": "{path}", "SERVER_NAME": "localhost", "SERVER_PORT": "80",
           "HTTP_HOST": "localhost", "wsgi.input": BytesIO(), "wsgi.errors": None, "wsgi.url_scheme": "http"}}
b"".join(application(environ, lambda status, *_: answer.append(status)))
assert answer[0].startswith("200"), answer
took = time.perf_counter() - started
print(json.dumps([took, int(open("/proc/self/status").read().split("VmRSS:")[1].split()[0]) / 1024]))
"""
DESK = "from assetpay_admin.wsgi import application"
BARE = """
from django.conf import settings
settings.configure(SECRET_KEY="x" * 50, ALLOWED_HOSTS=["*"], ROOT_URLCONF="__main__", USE_TZ=True,
    DATABASES={"default": DATABASE},
    INSTALLED_APPS=["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
        "django.contrib.sessions", "django.contrib.messages", "django.contrib.staticfiles"],
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}])
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("", lambda request: HttpResponse("hello"))]
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""


def measure_start(folder: Path) -> list[Row]:
    """Both in turn on the same database, each in a process of its own, with a connection when it answers.

    Their libraries are those of the product alone, as the image has them.
    """
    python = _product_python(folder.absolute() / "product")
    ours, bare = [], []
    _run(python, MEASURE.format(make=DESK, path="/health/live"))
    for _ in range(ROUNDS):
        ours.append(_run(python, MEASURE.format(make=DESK, path="/health/live")))
        bare.append(_run(python, MEASURE.format(make=_bare(), path="/")))
    (seconds, memory), (bare_seconds, bare_memory) = (
        [median(each) for each in zip(*runs, strict=True)] for runs in (ours, bare)
    )
    return [
        Row(
            "cold start / bare Django",
            seconds / bare_seconds,
            "x",
            3,
            detail=f"{seconds:.2f} s to {bare_seconds:.2f} s",
        ),
        Row("memory / bare Django", memory / bare_memory, "x", 3, detail=f"{memory:.0f} MiB to {bare_memory:.0f} MiB"),
    ]


def _bare() -> str:
    database = connection.settings_dict
    place = {name: database[name] for name in ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT")}
    return f"DATABASE = {place | {'NAME': str(place['NAME'])}!r}\n{BARE}"


def _product_python(home: Path) -> Path:
    """A Python without the tools of the developers, some of which our libraries load only because they find them."""
    arguments = ["sync", "--quiet", "--frozen", "--no-default-groups", "--python", sys.executable]
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    environment["UV_PROJECT_ENVIRONMENT"] = str(home)
    subprocess.run([Path("scripts/uv.sh").absolute(), *arguments], env=environment, check=True)  # noqa: S603 # our own script
    return home / "bin" / "python"


def _run(python: Path, program: str) -> list[float]:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "benchmarks.settings"}
    # As installed: what is compiled stays so. Where that is forbidden, most of a start is compiling.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run([python, "-c", program], env=environment, capture_output=True, text=True, check=True)  # noqa: S603 # our own
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found
