"""How a call to AssetPay can end other than well.

AssetPayError
├── Refused              an envelope that says no; nothing was done
│   └── TokenRejected    the client token was not accepted; a fresh one may be tried once
├── ToldToWait           nothing was done, come back after `seconds`
├── NotSent              the request never reached AssetPay
└── OutcomeUnknown       it may have been done
    └── AnswerTooLarge   the answer outgrew what we are willing to read
"""


class AssetPayError(Exception):
    """Whatever went wrong between us and AssetPay; `key` is AssetPay's own word for it, empty where it gave none."""

    key: str = ""


class Refused(AssetPayError):
    """AssetPay answered no and did nothing.

    `key` is what to branch on, `code` the number beside it (None when absent), `message` wording for people: at most
    2,000 characters, without NUL or lone surrogates. Source: AssetPay's error reference.
    """

    def __init__(self, key: str, code: int | None, message: str, request_id: str, http_status: int) -> None:
        super().__init__(key, code, message, request_id, http_status)
        self.key = key
        self.code = code
        self.message = message
        self.request_id = request_id
        self.http_status = http_status

    def __str__(self) -> str:
        return f"{self.key} ({self.code}): {self.message}"


class TokenRejected(Refused):
    """The client token is invalid or expired; authentication fails before any effect, so nothing was done."""


class ToldToWait(AssetPayError):
    """AssetPay did nothing and wants us back later.

    `seconds` lies between 1 and 600; `stated` says whether AssetPay named the delay or it is our own fallback of 60.
    `key` is empty when a 429 came without an envelope.
    """

    def __init__(
        self,
        seconds: float,
        key: str,
        code: int | None,
        message: str,
        request_id: str,
        http_status: int,
        stated: bool,
    ) -> None:
        super().__init__(seconds, key, code, message, request_id, http_status, stated)
        self.seconds = seconds
        self.key = key
        self.code = code
        self.message = message
        self.request_id = request_id
        self.http_status = http_status
        self.stated = stated

    def __str__(self) -> str:
        return f"{self.key or self.http_status}: wait {self.seconds:g} s"


class NotSent(AssetPayError):
    """The request certainly never reached AssetPay; it is safe to send again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OutcomeUnknown(AssetPayError):
    """The request may have been carried out.

    `lost_answer` is true only when not even a status line came back (timeout, reset, broken protocol); `http_status`
    is then None. `request_id` is AssetPay's when it named one, else the one we sent.
    """

    def __init__(self, reason: str, http_status: int | None, request_id: str, lost_answer: bool, key: str = "") -> None:
        super().__init__(reason, http_status, request_id, lost_answer)
        self.key = key
        self.reason = reason
        self.http_status = http_status
        self.request_id = request_id
        self.lost_answer = lost_answer

    def __str__(self) -> str:
        return self.reason if self.http_status is None else f"{self.reason} (HTTP {self.http_status})"


class AnswerTooLarge(OutcomeUnknown):
    """The answer outgrew the limit and was dropped; a read may ask for less at once."""
