"""What every long walk can rely on."""

from tests.faults.conftest import quiet  # noqa: F401 # their log lines would fill the report
