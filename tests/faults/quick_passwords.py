"""The product's settings, but a password is looked at quickly: what two processes do at once is the same then."""

from assetpay_admin.settings import *  # noqa: F403 # settings are read when imported

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
