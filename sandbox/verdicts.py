"""What an answer to an approval means."""

import json
from typing import Literal


def read_verdict(status: int | None, body: str) -> Literal["approve", "reject"] | None:
    """AssetPay's reading of the merchant's answer; None means the attempt failed and is repeated.

    Any 2xx without a reject body approves. 4xx rejects, except 408 and 429, which like 5xx and silence
    count as a failed attempt.
    """
    if status is None or status in (408, 429) or status >= 500:
        return None
    if 400 <= status < 500:
        return "reject"
    if 200 <= status < 300:
        return "reject" if _says_reject(body) else "approve"
    return None


def _says_reject(body: str) -> bool:
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("action") == "reject"
