"""Judging what only resembles an approval.

A 2xx to an approval releases money and a 4xx rejects a customer's withdrawal, so whatever might be one must never be
taken for news. Everything here errs on the side of suspicion; the exact cases are decided in `callbacks`.
"""

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from difflib import SequenceMatcher
from functools import lru_cache

from withdrawals.assetpay.documents import texts_in
from withdrawals.assetpay.words import STATUSES, WITHDRAW, Status

# What a question to the merchant could be called, should AssetPay ever rename it.
_ASKING = ("initiat", "approv", "wait", "author", "confirm", "consent", "decision", "permission", "request", "review")
_TAKING_OUT = ("withdr", "payout", "cashout", "purchase", "buy")
_NEAR = 0.75
# Wider for the status, on which alone an approval hangs: what is left of `initiated` after four letters were lost and
# three others put in their place is still this near. A new status that sounds alike ("activated") then waits for a
# person; a misread approval would cost money.
_NEAR_ASKING = 0.58
_LONGEST_WORD = 64
_NOT_LETTERS = re.compile(r"[\W_]+")
_ESCAPED = re.compile(r"\\u([0-9a-f]{4})")
_FOR_A_MACHINE = re.compile(r"[A-Za-z0-9_.-]+")


def sounds_like_asking(status: str) -> bool:
    """Whether an unfamiliar status may be AssetPay's question for approval."""
    if not _FOR_A_MACHINE.fullmatch(status):
        return True  # AssetPay's words are plain ASCII; a blank or a foreign letter makes a lookalike of one
    return _resembles(status, _ASKING, Status.INITIATED, _NEAR_ASKING)


def sounds_like_withdrawing(type_: str) -> bool:
    """Whether an unfamiliar type may be a withdrawal."""
    if not _FOR_A_MACHINE.fullmatch(type_):
        return True
    return _resembles(type_, _TAKING_OUT, WITHDRAW)


def hides_approval(value: object) -> bool:
    """Whether some object at any depth inside a parsed body is, or resembles, an approval."""
    return any(_may_ask(node) for node in _objects_in(value))


def mentions_asking(value: object) -> bool:
    """Whether any text in a parsed value, keys included, speaks of an approval."""
    return any(word in _plain(text) for text in texts_in(value) for word in ("initiat", "approv", "await"))


def mentions_withdrawing(value: object) -> bool:
    """Whether any text in a parsed value, keys included, speaks of a withdrawal."""
    return any("withdr" in _plain(text) for text in texts_in(value))


def has_lookalike_keys(node: dict[str, object]) -> bool:
    """Whether a second spelling of `type` or `status` stands beside the real one."""
    return any(_is_lookalike(key) if len(key) <= _LONGEST_WORD else _looks_alike(key) for key in node)


def smells_of_approval(body: bytes) -> bool:
    """Whether raw bytes, broken or oddly encoded, contain what an approval is made of."""
    text = body.decode("utf-8", "replace").lower()
    # Zero bytes are no letters, so UTF-16 and UTF-32 read like ASCII once it is plain.
    text = _plain(_ESCAPED.sub(lambda match: chr(int(match[1], 16)), text))
    return any(word in text for word in ("trade", "withdr", "initiated", "approval"))


def _may_ask(node: dict[str, object]) -> bool:
    # By resemblance alone: an item has a `type` too ("Sniper Rifle"), and may well be `initiated`.
    type_ = node.get("type")
    if type_ is None or isinstance(type_, int | float | Decimal):
        return False
    # A type that is no word is nothing that AssetPay ever sent.
    if isinstance(type_, str) and not _resembles(type_, _TAKING_OUT, WITHDRAW):
        return False
    status = node.get("status")
    if not isinstance(status, str):
        return True
    return status == Status.INITIATED or (status not in STATUSES and sounds_like_asking(status))


def _objects_in(value: object) -> Iterator[dict[str, object]]:
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


@lru_cache(maxsize=4096)
def _resembles(text: str, stems: tuple[str, ...], word: str, near: float = _NEAR) -> bool:
    plain = _plain(text[:_LONGEST_WORD])
    if any(stem in plain for stem in stems):
        return True
    # Two words of such different lengths cannot be near; the rest is costly.
    if not near / (2 - near) <= len(plain) / len(word) <= (2 - near) / near:
        return False
    return SequenceMatcher(None, plain, word).ratio() >= near


def _looks_alike(key: str) -> bool:
    return key not in ("type", "status") and _plain(key) in ("type", "status")


# The same few names come with every trade; what a stranger sends at length is not kept.
_is_lookalike = lru_cache(maxsize=1024)(_looks_alike)


def _plain(text: str) -> str:
    # Wide and accented letters become plain ones; blanks, marks and zero-width characters go.
    return _NOT_LETTERS.sub("", unicodedata.normalize("NFKD", text).casefold())
