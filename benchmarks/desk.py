"""A logged-in browser without a network: the whole of Django's handling of one request."""

import sys
from functools import cache
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest
from django.middleware.csrf import CSRF_SECRET_LENGTH
from django.test import Client
from django.utils.crypto import get_random_string

from withdrawals.models import User

application = cache(WSGIHandler)


def browser(person: User) -> Client:
    """A browser in which `person` is logged in with a second factor."""
    client = Client()
    client.force_login(person)
    Authenticator.objects.get_or_create(user=person, type=Authenticator.Type.TOTP, defaults={"data": {"secret": ""}})
    request = HttpRequest()
    request.session, request.user = client.session, AnonymousUser()
    record_authentication(request, person, "mfa", type="totp")
    request.session.save()
    # As after its first page: it keeps the secret of its forms.
    client.cookies[settings.CSRF_COOKIE_NAME] = get_random_string(CSRF_SECRET_LENGTH)
    return client


def page(client: Client, address: str, **query: Any) -> str:
    """The body of a page, as a WSGI server gets it from Django. Raises RuntimeError where it is not one.

    The browser gives its cookies alone: the test client's own work is no part of a page.
    """
    said: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": address,
        "QUERY_STRING": urlencode(query),
        "HTTP_COOKIE": "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items()),
        "HTTP_HOST": "localhost",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "wsgi.errors": sys.stderr,
    }
    response = application()(environ, lambda status, _: said.append(status))
    body = b"".join(response)
    response.close()
    if said != ["200 OK"]:
        raise RuntimeError(f"{address} {query} answered {said}")
    return body.decode()
