"""A process that has loaded what it keeps."""

import json
import os
import subprocess
import sys

import pytest

COUNTED = "import gc, json; print(json.dumps([gc.isenabled(), gc.get_freeze_count(), len(gc.get_objects())]))"


@pytest.mark.any_database
@pytest.mark.parametrize(
    "loads",
    [
        pytest.param(["-c", f"from assetpay_admin.wsgi import application; {COUNTED}"], id="web"),
        pytest.param(["manage.py", "shell", "--no-imports", "-c", COUNTED], id="command"),
    ],
)
def test_the_collector_of_garbage_leaves_out_what_was_loaded(loads: list[str]) -> None:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}

    done = subprocess.run([sys.executable, *loads], env=environment, capture_output=True, text=True, check=True)
    is_at_work, left_out, looked_at = json.loads(done.stdout)

    assert is_at_work
    assert left_out > 20 * looked_at
