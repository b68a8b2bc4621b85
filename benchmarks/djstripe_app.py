"""What a Django user would pick for signed webhooks: dj-stripe's own view, which keeps each Event, and nothing more.

Served as the desk is, by a Python that has dj-stripe: `gunicorn benchmarks.djstripe_app:application`. Run as a program
it makes its tables. Its database has the desk's settings. Stripe is never asked: `balance.available` is a kind of event
that dj-stripe keeps without looking for its object there, and the account of the key is known already.
"""

import os
from urllib.parse import urlparse

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.urls import include, path

ENDPOINT = "00000000-0000-4000-8000-000000000001"
SECRET = "whsec_of_the_benchmarks"  # noqa: S105 # made up
API_KEY = "sk_test_" + 30 * "b"
ACCOUNT = "acct_benchmarks"


def database() -> dict[str, object]:
    """Beside the desk's, with the desk's own settings: durable, and connections are kept."""
    address = urlparse(os.environ["DATABASE_URL"])
    if address.scheme == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": address.path[1:] + ".djstripe",
            "CONN_MAX_AGE": 600,
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 5,
                "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL",
            },
        }
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "djstripe",
        "HOST": address.hostname,
        "PORT": address.port,
        "USER": address.username,
        "PASSWORD": address.password or "",
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
    }


settings.configure(
    SECRET_KEY="made-up-for-benchmarks-made-up-for-benchmarks",  # noqa: S106 # made up
    ALLOWED_HOSTS=["localhost"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={"default": database()},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "djstripe"],
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"],
    LOGGING={"version": 1, "disable_existing_loggers": True},
    STRIPE_TEST_SECRET_KEY=API_KEY,
    DJSTRIPE_FOREIGN_KEY_TO_FIELD="id",
)
django.setup()
urlpatterns = [path("", include("djstripe.urls", namespace="djstripe"))]
application = WSGIHandler()


def prepare() -> None:
    """Its tables, the account whose key is used, and the endpoint that events come to."""
    from djstripe.models import Account, APIKey, WebhookEndpoint  # noqa: PLC0415 # after Django's setup

    if settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
        _make_database()
    call_command("migrate", verbosity=0)
    account, _ = Account.objects.get_or_create(id=ACCOUNT)
    APIKey.objects.get_or_create(
        secret=API_KEY, defaults={"type": "secret", "livemode": False, "djstripe_owner_account": account}
    )
    WebhookEndpoint.objects.get_or_create(
        id="we_benchmarks",
        defaults={
            "djstripe_uuid": ENDPOINT,
            "secret": SECRET,
            "livemode": False,
            "enabled_events": ["*"],
            "url": "https://desk.example/webhook/",
            "djstripe_owner_account": account,
        },
    )


def _make_database() -> None:
    import psycopg  # noqa: PLC0415 # only where there is a PostgreSQL

    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        if not server.execute("SELECT 1 FROM pg_database WHERE datname = 'djstripe'").fetchone():
            server.execute("CREATE DATABASE djstripe")


if __name__ == "__main__":
    prepare()
