"""Settings of the process, top to bottom. The only reader of the environment.

Every value comes from an environment variable, or from the file that ``ENV_FILE`` names (``.env`` by default). What
is secret may instead lie in a file of its own, which ``<NAME>_FILE`` names.
A value that cannot work raises ``ImproperlyConfigured`` with one line that names it, before anything starts.
"""

import logging
import os
import sqlite3
from decimal import Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import urlsplit

import environ
import structlog
from django.conf.locale import LANG_INFO
from django.core.exceptions import ImproperlyConfigured
from django.utils.csp import CSP

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
env_file = Path(os.environ.get("ENV_FILE", BASE_DIR / ".env"))
if env_file.is_file():
    env.read_env(env_file)


def refuse(name: str, reason: str) -> ImproperlyConfigured:
    """The one line that stops the start."""
    return ImproperlyConfigured(f"Setting {name}: {reason}")


# What an orchestrator hands over as a mounted file: `SECRET_KEY_FILE=/run/secrets/secret_key`.
MAY_LIE_IN_FILES = (
    "SECRET_KEY",
    "MFA_SEED_KEY",
    "DATABASE_URL",
    "ASSETPAY_API_KEY",
    "ASSETPAY_API_SECRETS",
    "METRICS_TOKEN",
    "SENTRY_DSN",
    "SLACK_WEBHOOK_URL",
    "EMAIL_URL",
    "OIDC_CLIENT_SECRET",
)
for name in MAY_LIE_IN_FILES:
    place = os.environ.get(f"{name}_FILE", "")
    if not place:
        continue
    if os.environ.get(name):
        raise refuse(f"{name}_FILE", f"and {name} are both set; one of them must go.")
    try:
        os.environ[name] = Path(place).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise refuse(f"{name}_FILE", f"{place} cannot be read ({type(error).__name__}).") from error
    # Read once: a process that inherits this environment must not meet both.
    del os.environ[f"{name}_FILE"]


def whole_number(name: str, default: int, *, least: int, most: int) -> int:
    """A number of something, within bounds that make sense."""
    try:
        number = env.int(name, default=default)
    except ValueError as error:
        raise refuse(name, "must be a whole number.") from error
    if not least <= number <= most:
        raise refuse(name, f"must be from {least} to {most}, not {number}.")
    return int(number)


def switch(name: str, *, default: bool) -> bool:
    """Yes or no; a misspelt word must not silently mean no."""
    text = env.str(name, default="true" if default else "false").strip().lower()
    if text in {"true", "1", "yes", "on"}:
        return True
    if text in {"false", "0", "no", "off", ""}:
        return False
    raise refuse(name, "must be true or false.")


# --- These settings themselves ----------------------------------------------------------------------------

# Raised where a release needs an operator's hand on the settings; CHANGELOG.md says what to do.
SETTINGS_VERSION = 1
if whole_number("SETTINGS_VERSION", SETTINGS_VERSION, least=1, most=1_000) != SETTINGS_VERSION:
    raise refuse("SETTINGS_VERSION", f"this release reads version {SETTINGS_VERSION}: see CHANGELOG.md for the way.")

# --- Django itself ----------------------------------------------------------------------------------------

DEBUG = switch("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="known-to-everybody-and-for-debug-only" if DEBUG else "")
if not SECRET_KEY or (len(SECRET_KEY) < 32 and not DEBUG):
    raise refuse("SECRET_KEY", "must be set, with at least 32 characters.")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if DEBUG else [])
if not ALLOWED_HOSTS:
    raise refuse("ALLOWED_HOSTS", "must name the host names that people and AssetPay use, comma-separated.")
for host in ALLOWED_HOSTS:
    if "/" in host:
        raise refuse("ALLOWED_HOSTS", f"{host!r} must be a host name alone, without https://.")
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
for origin in CSRF_TRUSTED_ORIGINS:
    if not origin.startswith(("http://", "https://")):
        raise refuse("CSRF_TRUSTED_ORIGINS", f"{origin!r} must start with https:// (or http://).")

PORT = whole_number("PORT", 8_000, least=1, most=65_535)
# Where people find the desk, for links that an operator passes on.
DESK_ORIGIN = CSRF_TRUSTED_ORIGINS[0] if CSRF_TRUSTED_ORIGINS else f"http://127.0.0.1:{PORT}"

ROOT_URLCONF = "assetpay_admin.urls"
WSGI_APPLICATION = "assetpay_admin.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
LOCALE_PATHS = [BASE_DIR / "locale"]
# English is the source; another language is here once its compiled catalogue lies in locale/.
LANGUAGES = [("en", "English")]
for catalogue in sorted(LOCALE_PATHS[0].glob("*/LC_MESSAGES/django.mo")):
    language = catalogue.parent.parent.name.replace("_", "-").lower()
    LANGUAGES.append((language, str(LANG_INFO.get(language, {}).get("name_local", language))))

INSTALLED_APPS = [
    "withdrawals",
    # Without looking for what other apps would put there: no table of theirs is to be edited past the actions.
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "django_filters",
    "django_htmx",
    "django_structlog",
    "django_tasks_db",
]

MIDDLEWARE = [
    # First, so that their headers are on every answer, also on those that the door replaces and that faults bring.
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "withdrawals.middleware.callback_door",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "withdrawals.middleware.RequestLog",
    "withdrawals.middleware.readable_requests",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "withdrawals.middleware.WhoAsks",
    "withdrawals.middleware.language_and_zone",
    "withdrawals.middleware.login_for_htmx",
    "withdrawals.middleware.session_limits",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "withdrawals.middleware.staff_pages",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            # In place of the library's own tag, whose app is therefore not installed.
            "libraries": {"lucide": "withdrawals.templatetags.icons"},
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.csp",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "withdrawals.views.context.desk",
            ],
        },
    },
]

# --- Database, cache and tasks ----------------------------------------------------------------------------

DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'var' / 'assetpay.sqlite3'}")}
DATABASES["default"]["ATOMIC_REQUESTS"] = False
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    if sqlite3.sqlite_version_info < (3, 37):
        raise refuse("DATABASE_URL", f"SQLite {sqlite3.sqlite_version} is too old; 3.37 is needed.")
    # A fresh clone has no var/ yet, and SQLite makes files, not folders.
    if Path(DATABASES["default"]["NAME"]).resolve().parent == BASE_DIR / "var":
        (BASE_DIR / "var").mkdir(exist_ok=True)
    # IMMEDIATE: a transaction takes the write lock when it begins, so none fails half-way for want of it.
    # FULL: what was answered to AssetPay survives a power cut. The journal goes into the database every 8 MiB: whoever
    # commits then holds up all others (decision 51).
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 5,
        "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA wal_autocheckpoint=2000",
    }
elif DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    # A process that stands still in a transaction (stopped, or its machine gone) would keep what it holds from all the
    # others: PostgreSQL ends its session, and nothing of it has happened.
    waits = {"lock_timeout": 5_000, "statement_timeout": 30_000, "idle_in_transaction_session_timeout": 10_000}
    # What models/prepared.py sends keeps one plan: left to itself PostgreSQL plans anew, each time, what it believes to
    # be dear without the values, and takes three times as long for that as for the work.
    words = {"timezone": "UTC", "plan_cache_mode": "force_generic_plan"}
    DATABASES["default"]["OPTIONS"] = {
        "options": " ".join(f"-c {name}={value}" for name, value in {**waits, **words}.items()),
        # A statement of those in models/prepared.py is kept by the server once it has come this often in a session.
        "prepare_threshold": 2,
    }
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"]["ENGINE"] = "assetpay_admin.postgresql"
else:
    raise refuse("DATABASE_URL", "must start with sqlite:/// or postgres://.")
DATABASES["default"]["CONN_MAX_AGE"] = 600

# Log-in throttling counts here, so it must be shared by every process.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "shared_cache",
        # When it is full, a third is forgotten, counters of guesses too; Django's 300 would fill in minutes.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
}

TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

# --- People and sessions ----------------------------------------------------------------------------------

AUTH_USER_MODEL = "withdrawals.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "overview"
ACCOUNT_ADAPTER = "withdrawals.accounts.ClosedSignupAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
# At log-in, at a fresh proof and at a change of password a wrong password counts on the same counter of the account.
ACCOUNT_RATE_LIMITS = {
    "login_failed": "5/5m/key,30/h/key,20/15m/ip",
    "reauthenticate": "5/m/user",
    "change_password": "5/m/user",
}
ACCOUNT_FORMS = {"change_password": "withdrawals.accounts.OwnPasswordForm"}
ACCOUNT_SESSION_REMEMBER = False
# A one-time link.
PASSWORD_RESET_TIMEOUT = 24 * 60 * 60
TRUSTED_PROXY_COUNT = whole_number("TRUSTED_PROXY_COUNT", 0, least=0, most=10)
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXY_COUNT

MFA_REQUIRED = switch("MFA_REQUIRED", default=True)
MFA_ADAPTER = "withdrawals.accounts.SealedSeedAdapter"
# Accounts are made by an operator for an address that they know; nobody verifies it by mail.
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = DEBUG
MFA_TOTP_ISSUER = "AssetPay Admin"
MFA_SEED_KEY = env.str("MFA_SEED_KEY", default=SECRET_KEY if DEBUG else "")
if not MFA_SEED_KEY or (len(MFA_SEED_KEY) < 32 and not DEBUG):
    raise refuse("MFA_SEED_KEY", "must be set, with at least 32 characters; it seals second-factor seeds.")

# A company's own provider (OpenID Connect), off while empty. Sign-up stays closed, and the second factor ours.
OIDC_PROVIDER_ID = "company"
OIDC_ISSUER = env.str("OIDC_ISSUER", default="")
OIDC_CLIENT_ID = env.str("OIDC_CLIENT_ID", default="")
OIDC_CLIENT_SECRET = env.str("OIDC_CLIENT_SECRET", default="")
OIDC_NAME = env.str("OIDC_NAME", default="your company")
for name, value in (("OIDC_CLIENT_ID", OIDC_CLIENT_ID), ("OIDC_CLIENT_SECRET", OIDC_CLIENT_SECRET)):
    if bool(value) != bool(OIDC_ISSUER):
        raise refuse(name, "and OIDC_ISSUER are set together, or both left empty.")
issuer = urlsplit(OIDC_ISSUER)
if OIDC_ISSUER and not (issuer.scheme == "https" or (DEBUG and OIDC_ISSUER.startswith("http://127.0.0.1:"))):
    raise refuse("OIDC_ISSUER", "must start with https://.")
if issuer.query or issuer.fragment or issuer.username or (OIDC_ISSUER and not issuer.hostname):
    raise refuse("OIDC_ISSUER", "must be the provider's address alone, as its own documents write it.")
SOCIALACCOUNT_ADAPTER = "withdrawals.oidc.KnownPeopleAdapter"
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False
# Three calls at the most stand behind one request, which must end within ten seconds.
SOCIALACCOUNT_REQUESTS_TIMEOUT = 3
# Our log-in page holds a form; its own page in between would say nothing new. The view itself takes no GET.
SOCIALACCOUNT_LOGIN_ON_GET = True
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "provider_class": "withdrawals.oidc.CompanyProvider",
        "OAUTH_PKCE_ENABLED": True,
        "SCOPE": ["openid", "email"],
        "APPS": [
            {
                "provider_id": OIDC_PROVIDER_ID,
                "name": OIDC_NAME,
                "client_id": OIDC_CLIENT_ID,
                "secret": OIDC_CLIENT_SECRET,
                "settings": {"server_url": OIDC_ISSUER.rstrip("/")},
            }
        ]
        if OIDC_ISSUER
        else [],
    }
}

SESSION_ENGINE = "withdrawals.accounts"
SESSION_COOKIE_AGE = 10 * 60 * 60
SESSION_IDLE_SECONDS = 15 * 60
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
# `make serve` and `make run` speak plain HTTP on loopback, where a browser drops a Secure cookie.
HTTPS_ONLY = switch("HTTPS_ONLY", default=not DEBUG)
SESSION_COOKIE_SECURE = HTTPS_ONLY
CSRF_COOKIE_SECURE = HTTPS_ONLY
SESSION_COOKIE_NAME = "__Host-session" if HTTPS_ONLY else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS_ONLY else "csrf"
CSRF_COOKIE_HTTPONLY = True
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

# --- What a browser is told -------------------------------------------------------------------------------

SECURE_SSL_REDIRECT = HTTPS_ONLY
# A redirect is no answer to a callback; its proxy speaks to us on loopback.
SECURE_REDIRECT_EXEMPT = [r"^health/", r"^callbacks/", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS_ONLY else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS_ONLY
SECURE_HSTS_PRELOAD = HTTPS_ONLY
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXY_COUNT else None
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
ITEM_PICTURE_HOST = "https://community.cloudflare.steamstatic.com"
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "img-src": [CSP.SELF, ITEM_PICTURE_HOST],
    # The form that begins a company log-in is answered with a way to there.
    "form-action": [CSP.SELF, *([f"{issuer.scheme}://{issuer.netloc}"] if OIDC_ISSUER else [])],
    "manifest-src": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
    "base-uri": [CSP.NONE],
    "object-src": [CSP.NONE],
}

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "var" / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage",
    },
}
WHITENOISE_USE_FINDERS = DEBUG

# --- AssetPay ---------------------------------------------------------------------------------------------

ASSETPAY_HOSTS = {"https://api.assetpay.gg", "https://api-staging.assetpay.gg"}
ASSETPAY_BASE_URL = env.str("ASSETPAY_BASE_URL", default="").rstrip("/")
try:
    base_url = urlsplit(ASSETPAY_BASE_URL)
    loopback = base_url.scheme == "http" and base_url.hostname in {"127.0.0.1", "localhost", "::1"}
    loopback = loopback and not base_url.path and base_url.port is not None
except ValueError:
    loopback = False
if ASSETPAY_BASE_URL not in ASSETPAY_HOSTS and not (DEBUG and loopback):
    raise refuse(
        "ASSETPAY_BASE_URL",
        f"must be one of {', '.join(sorted(ASSETPAY_HOSTS))}, or http://127.0.0.1:PORT with DEBUG.",
    )
ASSETPAY_MERCHANT_ID = env.str("ASSETPAY_MERCHANT_ID", default="")
if not ASSETPAY_MERCHANT_ID:
    raise refuse("ASSETPAY_MERCHANT_ID", "must be set; client tokens name the merchant.")
# Empty is allowed: then trades are read with client tokens, one by one, and own trades cannot be cancelled.
ASSETPAY_API_KEY = env.str("ASSETPAY_API_KEY", default="")
ASSETPAY_API_SECRETS = [secret.strip() for secret in env.str("ASSETPAY_API_SECRETS", default="").split(",")]
for secret in ASSETPAY_API_SECRETS:
    if len(secret.encode()) < 16:
        raise refuse("ASSETPAY_API_SECRETS", "must hold one or more secrets, each of at least 16 bytes.")
ASSETPAY_AUTHORIZATION_SCHEME = env.str("ASSETPAY_AUTHORIZATION_SCHEME", default="Bearer")
for name, value in (
    ("ASSETPAY_API_KEY", ASSETPAY_API_KEY),
    ("ASSETPAY_AUTHORIZATION_SCHEME", ASSETPAY_AUTHORIZATION_SCHEME),
):
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise refuse(name, "must be plain characters without blanks; it travels in a header.")
MOST_CANCELS_PER_MINUTE = 6_000
ASSETPAY_CANCELS_PER_MINUTE = whole_number("ASSETPAY_CANCELS_PER_MINUTE", 10, least=1, most=MOST_CANCELS_PER_MINUTE)
ASSETPAY_TIMEOUT_SECONDS = whole_number("ASSETPAY_TIMEOUT_SECONDS", 10, least=1, most=60)
CALLBACK_TOLERANCE_SECONDS = whole_number("CALLBACK_TOLERANCE_SECONDS", 300, least=1, most=3_600)
CALLBACK_LATE_SECONDS = whole_number("CALLBACK_LATE_SECONDS", 604_800, least=300, most=31_536_000)
# AssetPay closes the connection on an approval after 10 s; a body this large holds over 1,000 items.
CALLBACK_MAX_BYTES = 1_048_576
DATA_UPLOAD_MAX_MEMORY_SIZE = CALLBACK_MAX_BYTES

# --- The desk ---------------------------------------------------------------------------------------------

CANCEL_WINDOW_SECONDS = whole_number("CANCEL_WINDOW_SECONDS", 1_800, least=1, most=86_400)
if CANCEL_WINDOW_SECONDS != 1_800 and not DEBUG:
    raise refuse("CANCEL_WINDOW_SECONDS", "is AssetPay's 1800; another value is for the demo, with DEBUG.")
UNDO_SECONDS = whole_number("UNDO_SECONDS", 5, least=0, most=300)
RECONCILE_SECONDS = whole_number("RECONCILE_SECONDS", 60, least=5, most=3_600)
try:
    REFUND_APPROVAL_LIMIT = Decimal(env.str("REFUND_APPROVAL_LIMIT", default="100.00"))
except InvalidOperation as error:
    raise refuse("REFUND_APPROVAL_LIMIT", "must be an amount in USD, such as 100.00.") from error
if not REFUND_APPROVAL_LIMIT.is_finite() or REFUND_APPROVAL_LIMIT < 0:
    raise refuse("REFUND_APPROVAL_LIMIT", "must be an amount in USD, such as 100.00.")
REFUND_APPROVAL_HOURS = whole_number("REFUND_APPROVAL_HOURS", 24, least=1, most=720)
DECLINED_REFUND_POLICY = env.str("DECLINED_REFUND_POLICY", default="review")
if DECLINED_REFUND_POLICY not in {"full", "net", "review"}:
    raise refuse("DECLINED_REFUND_POLICY", "must be full, net or review.")
# How many reads of trades (up to 100 trades each) may go to AssetPay in a minute: its limit is 100, 3000 once verified.
READS_PER_MINUTE = whole_number("READS_PER_MINUTE", 60, least=1, most=3_000)
DEMO = switch("DEMO", default=False)
if DEMO and not DEBUG:
    raise refuse("DEMO", "is for `make run` only, with DEBUG.")

# --- Notices to people, each off while empty ---------------------------------------------------------------

SLACK_WEBHOOK_URL = env.str("SLACK_WEBHOOK_URL", default="")
if SLACK_WEBHOOK_URL and not SLACK_WEBHOOK_URL.startswith("https://"):
    raise refuse("SLACK_WEBHOOK_URL", "must start with https://.")
EMAIL_URL = env.str("EMAIL_URL", default="")
MAILERS: dict[str, dict[str, object]] = {}
if DEBUG:
    MAILERS["default"] = {"BACKEND": "django.core.mail.backends.console.EmailBackend"}
# Mail is optional: without an address nothing is sent, and nothing fails for it.
SILENCED_SYSTEM_CHECKS = [] if EMAIL_URL else ["mail.W001"]
if EMAIL_URL:
    try:
        mail = env.email_url("EMAIL_URL")
    except (KeyError, ValueError, ImproperlyConfigured) as error:
        raise refuse("EMAIL_URL", "must read like smtp+tls://name:password@mail.example.com:587.") from error
    MAILERS["default"] = {
        "BACKEND": mail["EMAIL_BACKEND"],
        "OPTIONS": {
            "host": mail["EMAIL_HOST"],
            "port": mail["EMAIL_PORT"],
            "username": mail["EMAIL_HOST_USER"],
            "password": mail["EMAIL_HOST_PASSWORD"],
            "use_tls": mail.get("EMAIL_USE_TLS", False),
            "use_ssl": mail.get("EMAIL_USE_SSL", False),
            "timeout": 10,
        },
    }
ALARM_EMAILS = env.list("ALARM_EMAILS", default=[])
if ALARM_EMAILS and not EMAIL_URL:
    raise refuse("ALARM_EMAILS", "needs EMAIL_URL to send by.")
# Where the head of the audit log is sent, each off while empty. A file belongs on another machine's disk.
AUDIT_ANCHOR_FILE = env.str("AUDIT_ANCHOR_FILE", default="")
if AUDIT_ANCHOR_FILE and not Path(AUDIT_ANCHOR_FILE).is_absolute():
    raise refuse("AUDIT_ANCHOR_FILE", "must be an absolute path.")
AUDIT_ANCHOR_EMAIL = env.str("AUDIT_ANCHOR_EMAIL", default="")
if AUDIT_ANCHOR_EMAIL and not EMAIL_URL:
    raise refuse("AUDIT_ANCHOR_EMAIL", "needs EMAIL_URL to send by.")
AUDIT_ANCHOR_SLACK = env.str("AUDIT_ANCHOR_SLACK", default="")
if AUDIT_ANCHOR_SLACK and not AUDIT_ANCHOR_SLACK.startswith("https://"):
    raise refuse("AUDIT_ANCHOR_SLACK", "must be a webhook's address and start with https://.")
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="desk@localhost")

# --- Watched from outside, each off while empty ------------------------------------------------------------

METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
if METRICS_TOKEN and not (len(METRICS_TOKEN) >= 16 and METRICS_TOKEN.isascii() and METRICS_TOKEN.isprintable()):
    raise refuse("METRICS_TOKEN", "must have at least 16 plain characters; empty opens /metrics to loopback only.")
SENTRY_DSN = env.str("SENTRY_DSN", default="")
if SENTRY_DSN:
    if not SENTRY_DSN.startswith(("https://", "http://") if DEBUG else "https://"):
        raise refuse("SENTRY_DSN", "must start with https://.")
    # Only here: to load it takes an eighth of the time that a process needs to start.
    from assetpay_admin.reporting import start_reporting

    try:
        start_reporting(SENTRY_DSN)
    except ValueError as error:
        raise refuse("SENTRY_DSN", "is not an address that Sentry gave out.") from error

# --- Logs -------------------------------------------------------------------------------------------------


def is_worth_a_line(record: logging.LogRecord) -> bool:
    """Wake-ups and health checks come every few seconds; only failures are news. `db_worker` sets its level itself."""
    if record.levelno >= logging.WARNING:
        return True
    asked = str(record.msg.get("request", "")) if isinstance(record.msg, dict) else ""
    return "/health/" not in asked and not record.name.startswith(("django.tasks", "django_tasks_db"))


LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "lines": {
            "()": structlog.stdlib.ProcessorFormatter,
            # Plain: the pretty one prints the variables of every frame, and with them whatever is secret.
            "processor": structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
            if DEBUG
            else structlog.processors.JSONRenderer(),
            "foreign_pre_chain": [
                structlog.contextvars.merge_contextvars,
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.stdlib.add_logger_name,
                structlog.stdlib.add_log_level,
                # A traceback as text, without what the variables held.
                structlog.processors.format_exc_info,
            ],
        },
    },
    "filters": {"no_wake_ups": {"()": "django.utils.log.CallbackFilter", "callback": is_worth_a_line}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "lines", "filters": ["no_wake_ups"]},
    },
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        "withdrawals": {"level": "INFO"},
        # One line for each request, with its id, who asked and the answer.
        "django_structlog": {"level": "INFO"},
        # Instead of Django's own handler, which would print every line twice with DEBUG.
        "django": {"handlers": [], "level": "WARNING", "propagate": True},
        # httpx logs whole addresses at INFO.
        "httpx": {"level": "WARNING"},
        "httpcore": {"level": "WARNING"},
    },
}
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
DJANGO_STRUCTLOG_COMMAND_LOGGING_ENABLED = False
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logging.DEBUG
# Django itself logs what went wrong; a 503 to an approval is as it should be, and no error.
DJANGO_STRUCTLOG_STATUS_4XX_LOG_LEVEL = logging.INFO
DJANGO_STRUCTLOG_STATUS_5XX_LOG_LEVEL = logging.INFO
