"""A raw document for reading: broken into lines, its tokens as they came."""

import re
from collections.abc import Iterator

from django import template
from django.utils.translation import gettext

from withdrawals.templatetags.desk import mask_token

register = template.Library()

LONGEST_SHOWN = 65_536
DEEPEST_INDENT = 20
# A whole string, white space between tokens, one mark, or a run of anything else.
PIECE = re.compile(r'"(?:[^"\\]|\\.)*+"?|\s++|[{}\[\],:]|[^\s"{}\[\],:]++', re.DOTALL)


@register.filter
def pretty(text: str) -> str:
    """`text` indented like JSON, tokens untouched, trade-link tokens masked; text that is no JSON survives too."""
    shown = text[:LONGEST_SHOWN]
    cut = (
        "\n" + gettext("… {count} more characters").format(count=len(text) - LONGEST_SHOWN)
        if len(text) > LONGEST_SHOWN
        else ""
    )
    return mask_token("".join(_pieces(shown))) + cut


def _pieces(text: str) -> Iterator[str]:
    depth = 0
    for match in PIECE.finditer(text):
        piece = match[0]
        if piece in "{[":
            depth += 1
            yield piece + _line(depth)
        elif piece in "}]":
            depth = max(depth - 1, 0)
            yield _line(depth) + piece
        elif piece == ",":
            yield piece + _line(depth)
        elif piece == ":":
            yield ": "
        elif not piece.isspace():
            yield piece


def _line(depth: int) -> str:
    return "\n" + "  " * min(depth, DEEPEST_INDENT)
