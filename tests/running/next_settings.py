"""The settings of the next release: the product's own, with one more app."""

from assetpay_admin.settings import *  # noqa: F403 # it is the same product
from assetpay_admin.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.running.next_release"]
