"""Settings of the benchmarks: the product's own as in production, on a database that the caller names.

What a user would pick instead, Django's admin over the same tables, is measured in the same process.
"""

import os

os.environ |= {
    "ENV_FILE": os.devnull,
    "DEBUG": "false",
    "DEMO": "false",
    "SECRET_KEY": "made-up-for-benchmarks-made-up-for-benchmarks",
    "MFA_SEED_KEY": "made-up-for-seeds-made-up-for-seeds-made-up",
    "ALLOWED_HOSTS": "localhost,127.0.0.1,testserver",
    "HTTPS_ONLY": "false",
    "MFA_REQUIRED": os.environ.get("MFA_REQUIRED", "true"),
    "ASSETPAY_BASE_URL": os.environ.get("ASSETPAY_BASE_URL", "https://api.assetpay.gg"),
    "ASSETPAY_MERCHANT_ID": "merchant-of-the-benchmarks",
    "ASSETPAY_API_KEY": "api-key-of-the-benchmarks",
    "ASSETPAY_API_SECRETS": "newest-secret-of-the-benchmarks",
}

from assetpay_admin.settings import *  # noqa: F403 # settings are read when imported, so after the above

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
LOGGING = {"version": 1, "disable_existing_loggers": True}
