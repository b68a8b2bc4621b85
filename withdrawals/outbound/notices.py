"""Our own notices to people: mail and Slack, each only where it is configured. Plain text, no customer's data."""

import httpx
from django.conf import settings
from django.core.mail import send_mail

SLACK_TIMEOUT_SECONDS = 5


class NoticeFailed(Exception):
    """A channel that is configured did not take the notice; the others were tried all the same."""


def send_notice(subject: str, text: str) -> None:
    """Tell whoever is configured. Raises NoticeFailed naming the channels that failed, never their addresses."""
    failed = []
    if settings.ALARM_EMAILS:
        try:
            send_mail(f"AssetPay Admin: {subject}", text, settings.DEFAULT_FROM_EMAIL, settings.ALARM_EMAILS)
        except OSError as error:  # smtplib's own errors are OSErrors too
            failed.append(f"mail ({type(error).__name__})")
    if settings.SLACK_WEBHOOK_URL:
        try:
            with httpx.Client(trust_env=False, follow_redirects=False, timeout=SLACK_TIMEOUT_SECONDS) as client:
                client.post(settings.SLACK_WEBHOOK_URL, json={"text": f"*{subject}*\n{text}"}).raise_for_status()
        except httpx.HTTPError as error:
            failed.append(f"Slack ({type(error).__name__})")
    if failed:
        # The cause is left out: it would quote the webhook's address, which is a secret.
        raise NoticeFailed(", ".join(failed)) from None
