"""A web process that has loaded its application."""

import json
import os
import subprocess
import sys

import pytest

LOADED = """
import gc, json
from assetpay_admin.wsgi import application
print(json.dumps([gc.isenabled(), gc.get_freeze_count(), len(gc.get_objects())]))
"""


@pytest.mark.any_database
def test_the_collector_of_garbage_leaves_out_what_was_loaded() -> None:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}

    done = subprocess.run([sys.executable, "-c", LOADED], env=environment, capture_output=True, text=True, check=True)
    is_at_work, left_out, looked_at = json.loads(done.stdout)

    assert is_at_work
    assert left_out > 20 * looked_at
