"""Looking at an answer as a person would."""

import re

from django.http import HttpResponse

ROW = re.compile(r'<tr id="([a-z]+-\d+)"')
NEXT = re.compile(r'rel="next" href="([^"]+)"')


def text(response: HttpResponse) -> str:
    """The body."""
    return response.content.decode()


def rows(response: HttpResponse) -> list[str]:
    """The DOM ids of the rows, in order."""
    return ROW.findall(text(response))


def next_page(response: HttpResponse) -> str:
    """The query string of the next page; empty on the last."""
    found = NEXT.search(text(response))
    return found[1].replace("&amp;", "&") if found else ""
