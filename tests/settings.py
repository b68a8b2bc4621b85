"""Settings of the tests: the product's own, in an environment that is the same everywhere.

DATABASE_URL alone is taken from the caller (SQLite without one); nothing else of the caller's environment or of its
.env counts. A process that a test starts inherits all of this and may be given other values.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

if "TEST_FOLDER" not in os.environ:
    # The first process of a run makes the folder; the workers of pytest-xdist inherit its environment.
    os.environ["TEST_FOLDER"] = tempfile.mkdtemp(prefix="assetpay_admin_")
    atexit.register(shutil.rmtree, os.environ["TEST_FOLDER"], ignore_errors=True)
    os.environ |= {
        "ENV_FILE": os.devnull,
        "DEBUG": "true",
        "DEMO": "false",
        "SECRET_KEY": "made-up-for-tests-made-up-for-tests-made-up",
        "MFA_SEED_KEY": "made-up-for-seeds-made-up-for-seeds-made-up",
        "ALLOWED_HOSTS": "localhost,127.0.0.1,testserver",
        "CSRF_TRUSTED_ORIGINS": "",
        "HTTPS_ONLY": "false",
        "MFA_REQUIRED": "false",
        "TRUSTED_PROXY_COUNT": "0",
        "ASSETPAY_BASE_URL": "http://127.0.0.1:9",
        "ASSETPAY_MERCHANT_ID": "merchant-of-the-tests",
        "ASSETPAY_API_KEY": "api-key-of-the-tests",
        "ASSETPAY_API_SECRETS": "newest-secret-of-the-tests,former-secret-of-the-tests",
        "ASSETPAY_AUTHORIZATION_SCHEME": "Bearer",
        "ASSETPAY_CANCELS_PER_MINUTE": "10",
        "ASSETPAY_TIMEOUT_SECONDS": "10",
        "CALLBACK_TOLERANCE_SECONDS": "300",
        "CALLBACK_LATE_SECONDS": "604800",
        "CANCEL_WINDOW_SECONDS": "1800",
        "UNDO_SECONDS": "0",
        "RECONCILE_SECONDS": "60",
        "REFUND_APPROVAL_LIMIT": "100.00",
        "REFUND_APPROVAL_HOURS": "24",
        "DECLINED_REFUND_POLICY": "review",
        # Playwright keeps an event loop running in the thread of the tests.
        "DJANGO_ALLOW_ASYNC_UNSAFE": "true",
    }
    os.environ.setdefault("DATABASE_URL", f"sqlite:///{os.environ['TEST_FOLDER']}/untouched.sqlite3")

from assetpay_admin.settings import *  # noqa: F403 # settings are read when imported, so after the above
from assetpay_admin.settings import DATABASES, MIDDLEWARE  # as above

folder = Path(os.environ["TEST_FOLDER"])
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A file, since threads and processes of a test must meet in it. It need not survive a power cut.
    # One that outlives the run only where `tests.mutation` asks for it.
    DATABASES["default"]["TEST"] = {"NAME": os.environ.get("MUTATION_DATABASE") or str(folder / "test.sqlite3")}
    DATABASES["default"]["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL;PRAGMA synchronous=OFF"
else:
    # Two runs may share one server.
    DATABASES["default"]["TEST"] = {"NAME": f"test_{folder.name}"}

# Canaries (tests/canaries.py) of what is off in the tests: planted where nothing acts on them.
OIDC_CLIENT_SECRET = "canary-of-the-oidc-client-secret"
SENTRY_DSN = "https://canary-of-the-sentry-key@sentry.example/1"
EMAIL_URL = "smtp+tls://desk:canary-of-the-mail-password@mail.example:587"

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# pytest-django switches DEBUG off, which would have whitenoise look for collected files.
WHITENOISE_AUTOREFRESH = True

MIDDLEWARE = ["tests.canaries.watch_answers", *MIDDLEWARE]
