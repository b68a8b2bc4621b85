"""AssetPay's callback signature: one header, HMAC-SHA256 over delivery id, time and body.

The header reads `t=<ISO time>,id=<delivery id>,s=<64 hex>`; while a secret is being rotated AssetPay adds
`s1=<64 hex>`, made with the previous one. Source: AssetPay's callback guide.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

MAX_HEADER_LENGTH = 512
MIN_SECRET_LENGTH = 16

_PART = re.compile(r"([A-Za-z0-9_-]{1,32})=([\x21-\x2b\x2d-\x7e]*)")
_DELIVERY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")
# Lower case only: AssetPay writes it so, and with one spelling per signature no changed header can still pass.
_SIGNATURE = re.compile(r"[0-9a-f]{64}")


class Malformed(ValueError):
    """The signature header does not follow AssetPay's grammar."""


class BadSignature(Exception):
    """The header is well formed, but none of its signatures was made with a secret of ours."""


@dataclass(frozen=True)
class SignatureHeader:
    """A signature header taken apart; `time_text` and `delivery_id` are the raw text that was signed."""

    time_text: str
    signed_at: datetime
    delivery_id: str
    signatures: tuple[str, ...]


def parse_header(header: str) -> SignatureHeader:
    """Return the parts of an X-AssetPay-Signature header; `signed_at` is aware UTC.

    Raises Malformed. The grammar is strict before any HMAC is computed, because the signed bytes join id, time and
    body with plain dots: a dot admitted in the id would let the three be split differently.
    """
    if len(header) > MAX_HEADER_LENGTH or not header.isascii():
        raise Malformed("not an ASCII header of sensible length")
    parts: dict[str, str] = {}
    for part in re.split(", ?", header):
        match = _PART.fullmatch(part)
        if match is None or match[1] in parts:
            raise Malformed("not a list of distinct key=value parts")
        parts[match[1]] = match[2]
    time_text, delivery_id = parts.get("t", ""), parts.get("id", "")
    signatures = tuple(parts[key] for key in ("s", "s1") if key in parts)
    if not _DELIVERY_ID.fullmatch(delivery_id):
        raise Malformed("delivery id missing or not plain")
    if "s" not in parts or not all(_SIGNATURE.fullmatch(text) for text in signatures):
        raise Malformed("signature missing or not 64 hex digits")
    return SignatureHeader(time_text, _parse_time(time_text), delivery_id, signatures)


def verify(header: SignatureHeader, body: bytes, secrets: Sequence[bytes]) -> None:
    """Return if any of our secrets made any of the header's signatures over `body`.

    Raises BadSignature otherwise, and ValueError for a missing secret or one shorter than 16 bytes. Says nothing about
    the age of the signature; that is the caller's to judge from `signed_at`.
    """
    if not secrets:
        raise ValueError("no callback secret")
    genuine = False
    for secret in secrets:
        expected = _digest(header.delivery_id, header.time_text, body, secret)
        for signature in header.signatures:
            # Every pair is compared, in constant time, so that timing tells nothing about which one was close.
            genuine |= hmac.compare_digest(expected, signature)
    if not genuine:
        raise BadSignature("no signature matches")


def sign(body: bytes, secret: bytes, delivery_id: str, time_text: str) -> str:
    """Return the header that AssetPay would send with `body`; raises ValueError for a secret under 16 bytes."""
    return f"t={time_text},id={delivery_id},s={_digest(delivery_id, time_text, body, secret)}"


def self_test() -> None:
    """Check this module against a vector made with OpenSSL; raises RuntimeError when the two disagree."""
    header = "t=2026-05-01T12:00:00.000Z,id=dlv_0001,s=f110a3bc6a420ebd4ad8a5233489de0a86aa9d5d5088cd88f7298d014e1671a8"
    body = b'{"trade":{"id":"1"}}'
    try:
        verify(parse_header(header), body, [b"0123456789abcdef"])
    except (Malformed, BadSignature) as error:
        raise RuntimeError("a known signature was not recognised") from error
    try:
        verify(parse_header(header), body + b" ", [b"0123456789abcdef"])
    except BadSignature:
        return
    raise RuntimeError("a changed body was accepted")


def _digest(delivery_id: str, time_text: str, body: bytes, secret: bytes) -> str:
    if len(secret) < MIN_SECRET_LENGTH:
        raise ValueError("a callback secret needs at least 16 bytes")
    message = delivery_id.encode("ascii") + b"." + time_text.encode("ascii") + b"." + body
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


def _parse_time(text: str) -> datetime:
    if not _TIME.fullmatch(text):
        raise Malformed("time missing or not in AssetPay's form")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Malformed("not a real date") from None
