"""F72, P28: secrets planted in the settings of every test, which no answer, log line or table may show.

The middleware below looks at each page that any test asks for, in this process or in a browser. `tests/conftest.py`
looks at what each test wrote to its log and its output, `tests/test_canaries.py` into every table after a busy day.
"""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

# Everybody's here.
PASSWORD = "withdraw-skins-1"


def canaries() -> dict[str, str]:
    """What must stay secret, by the name to complain under."""
    found = {
        "SECRET_KEY": settings.SECRET_KEY,
        "MFA_SEED_KEY": settings.MFA_SEED_KEY,
        "ASSETPAY_API_KEY": settings.ASSETPAY_API_KEY,
        **{f"ASSETPAY_API_SECRETS[{number}]": text for number, text in enumerate(settings.ASSETPAY_API_SECRETS)},
        "a person's password": PASSWORD,
        "METRICS_TOKEN": settings.METRICS_TOKEN,
        "SENTRY_DSN": urlsplit(settings.SENTRY_DSN).username or "",
        "SLACK_WEBHOOK_URL": settings.SLACK_WEBHOOK_URL,
        "AUDIT_ANCHOR_SLACK": settings.AUDIT_ANCHOR_SLACK,
        "the password in EMAIL_URL": urlsplit(settings.EMAIL_URL).password or "",
        "OIDC_CLIENT_SECRET": settings.OIDC_CLIENT_SECRET,
    }
    return {name: text for name, text in found.items() if len(text) > 8}


def shown_in(text: str) -> list[str]:
    """The names of the secrets that `text` shows."""
    return [name for name, secret in canaries().items() if secret in text]


def watch_answers(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Outermost in the tests: an answer with a secret in it becomes a fault that no test can overlook."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if isinstance(response, HttpResponse):
            shown = shown_in(response.content.decode(errors="replace") + str(response.headers))
            if shown:
                raise AssertionError(f"{request.path} shows {', '.join(shown)}")
        return response

    return middleware
