"""A logged-in browser without a network: the whole of Django's handling of one request."""

from typing import Any

from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.test import Client

from withdrawals.models import User


def browser(person: User) -> Client:
    """A browser in which `person` is logged in with a second factor."""
    client = Client()
    client.force_login(person)
    Authenticator.objects.get_or_create(user=person, type=Authenticator.Type.TOTP, defaults={"data": {"secret": ""}})
    request = HttpRequest()
    request.session, request.user = client.session, AnonymousUser()
    record_authentication(request, person, "mfa", type="totp")
    request.session.save()
    return client


def page(client: Client, address: str, **query: Any) -> str:
    """The body of a page. Raises RuntimeError where it is not one."""
    response = client.get(address, query)
    if response.status_code != 200:
        raise RuntimeError(f"{address} {query} answered {response.status_code}")
    return response.content.decode()
