"""What no screen, file or log may show: the token of a Steam trade link, with which anybody can send trade offers."""

import re

MASK = "•••"
# However JSON or a web address spells the equals sign.
TOKEN = re.compile(r"(token(?:=|%3D|\\u003d))[^\"'&\\\s<>]+", re.IGNORECASE)


def mask_tokens(text: str) -> str:
    """`text` without the token of any trade link in it."""
    return TOKEN.sub(rf"\g<1>{MASK}", text)


def without_tokens(text: str) -> str:
    """`text` with those tokens left out: it still finds what it found, and is not longer than it was."""
    return TOKEN.sub(r"\g<1>", text)
