"""The signature over a callback."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from sandbox.wire import iso

HEADER = "X-AssetPay-Signature"
FORGER = "nobody-has-ever-been-given-this-secret"


def signature_header(
    body: bytes, delivery_id: str, moment: datetime, secrets: Sequence[str], *, with_previous: bool
) -> str:
    """The value of the signature header: time, delivery id and HMAC-SHA256 over both and the body.

    The newest secret comes first and signs; during a rotation the previous one signs beside it, as s1.
    """
    stamp = iso(moment)
    signed = f"{delivery_id}.{stamp}.".encode() + body
    parts = [f"t={stamp}", f"id={delivery_id}", f"s={_hmac(secrets[0], signed)}"]
    if with_previous and len(secrets) > 1:
        parts.append(f"s1={_hmac(secrets[1], signed)}")
    return ",".join(parts)


def _hmac(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
