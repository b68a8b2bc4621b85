"""One HTTP exchange with AssetPay: sent or not, answered or not, and never a surprise.

What an answer means is decided in `answers`; here it is only fetched, within bounds of time and size.
"""

import logging
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import quote

import httpx

from withdrawals.assetpay.deadline import Deadline
from withdrawals.assetpay.errors import NotSent, OutcomeUnknown

MAX_ANSWER_BYTES = 1024 * 1024
MAX_CONNECT_SECONDS = 3.0
MAX_SEGMENT_LENGTH = 128

# Named one by one: httpx's own families mix the two (RemoteProtocolError, for one, is no NetworkError). Whatever is in
# neither list counts as unknown.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    httpx.LocalProtocolError,
)
_ANSWER_LOST = (
    httpx.WriteError,
    httpx.WriteTimeout,
    httpx.ReadError,
    httpx.ReadTimeout,
    httpx.RemoteProtocolError,
    httpx.CloseError,
)


@dataclass(frozen=True)
class Answer:
    """What came back. `body` is None when it could not be read whole, and `defect` says why.

    `request_id` is the one from the answer's header if it has one, else the one we sent; `retry_after` and `date` are
    header texts, None when absent.
    """

    http_status: int
    body: bytes | None
    defect: str
    too_large: bool
    request_id: str
    retry_after: str | None
    date: str | None


class Transport:
    """Sends single requests to one AssetPay host. Safe to share between threads."""

    def __init__(self, base_url: str, timeout_seconds: float, transport: httpx.BaseTransport | None) -> None:
        try:
            url = httpx.URL(base_url)
        except httpx.InvalidURL:
            raise ValueError("base_url is not an address") from None
        if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment or url.userinfo:
            raise ValueError("base_url is not a plain http(s) address")
        # These write whole addresses and headers to the log, and ours name customers and carry keys.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._base_url = base_url.rstrip("/")
        self._deadline_seconds = 2 * timeout_seconds
        self._http = httpx.Client(
            transport=transport,
            verify=_trusted(),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(timeout_seconds, connect=min(MAX_CONNECT_SECONDS, timeout_seconds)),
            # Every call opens its own connection: on a kept one that the server has just closed, nobody can tell
            # whether a cancel was read.
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "Connection": "close"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    def close(self) -> None:
        """Let go of whatever connections are open."""
        self._http.close()

    def send(
        self, method: str, path: str, *, headers: Mapping[str, str], query: Mapping[str, str], request_id: str
    ) -> Answer:
        """Return the answer to one request whose `path` is already percent-encoded.

        Raises NotSent when it certainly did not reach AssetPay, OutcomeUnknown when no answer came. Both leave out the
        message of the underlying error, which can quote a header, and with it a key.
        """
        with Deadline(self._deadline_seconds) as deadline:
            try:
                request = self._http.build_request(
                    method,
                    self._base_url + path,
                    params=query or None,
                    headers={**headers, "x-request-id": request_id},
                    extensions={"trace": deadline.trace},
                )
            except Exception as error:  # whatever it is, nothing has been sent yet
                raise NotSent(f"request could not be built: {type(error).__name__}") from None
            try:
                response = self._http.send(request, stream=True)
            except _NEVER_SENT as error:
                raise NotSent(type(error).__name__) from None
            except Exception as error:  # an unlisted failure may have come after sending
                lost = isinstance(error, _ANSWER_LOST)
                raise OutcomeUnknown(type(error).__name__, None, request_id, lost) from None
            return _read_answer(response, request_id)


@cache
def _trusted() -> ssl.SSLContext:
    """Whom we believe to be AssetPay, read once: reading the list of authorities takes longer than a call."""
    return httpx.create_ssl_context(trust_env=False)


def path_segment(text: str) -> str:
    """Return an id as one segment of a path, percent-encoded; raises ValueError when that cannot be made safe.

    AssetPay's ids may be free text of 1 to 128 characters. "." and ".." are refused: even encoded, any proxy may read
    them as a step in the path (RFC 3986, 6.2.2).
    """
    if not 0 < len(text) <= MAX_SEGMENT_LENGTH or text in (".", ".."):
        raise ValueError("not an id that can stand in a path")
    return quote(text, safe="")


def _read_answer(response: httpx.Response, request_id: str) -> Answer:
    body, defect, too_large = bytearray(), "", False
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        defect = "answer is encoded though we asked for plain text"
    try:
        for chunk in response.iter_bytes() if not defect else ():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                defect, too_large = "answer is too large", True
                break
    except Exception as error:  # the status line is here, so this is an answer, if half of one
        defect = f"answer broke off: {type(error).__name__}"
    finally:
        with suppress(Exception):  # what was read stays read, whatever the goodbye was like
            response.close()
    return Answer(
        http_status=response.status_code,
        body=None if defect else bytes(body),
        defect=defect,
        too_large=too_large,
        request_id=response.headers.get("x-request-id") or request_id,
        retry_after=response.headers.get("retry-after"),
        date=response.headers.get("date"),
    )
