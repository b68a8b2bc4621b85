"""A small OpenID Connect provider on loopback: real HTTP, real signatures, and a switch for each lie."""

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

CLIENT, SECRET = "desk", "secret-of-the-desk-at-the-company"


def new_key() -> RSAPrivateKey:
    """A key as providers have them."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Company:
    """The provider: who is logged in there, and what its next id token says otherwise than it should."""

    address: str
    key: RSAPrivateKey
    kid: str = "key-of-today"
    person: dict[str, Any] = field(default_factory=dict)
    # What the next tokens say instead; None leaves a claim out.
    lies: dict[str, Any] = field(default_factory=dict)
    signed_with: Any = None
    algorithm: str = "RS256"
    sends_no_id_token: bool = False
    configuration: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def says(self) -> dict[str, Any]:
        """Its own description."""
        places = {name: f"{self.address}/{name}" for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
        return {"issuer": self.address, **places, **self.configuration}

    def keys(self) -> dict[str, Any]:
        """Its public keys."""
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [{**public, "kid": self.kid, "use": "sig", "alg": "RS256"}]}

    def id_token(self, nonce: str) -> str:
        """Who is logged in, signed."""
        now = int(time.time())
        claims = {"iss": self.address, "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": nonce}
        claims |= self.person | self.lies
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(
            claims, self.signed_with or self.key, algorithm=self.algorithm, headers={"kid": self.kid, "typ": "JWT"}
        )

    def code_for(self, query: dict[str, str]) -> str:
        """The person agreed: a code for what was asked."""
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        return code

    def token(self, form: dict[str, str]) -> dict[str, Any]:
        """The tokens for a code, to who may have them: the client, with its secret, who also began it (PKCE)."""
        asked = self.codes.pop(form["code"])
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        assert (form["client_id"], form["client_secret"]) == (CLIENT, SECRET)
        assert asked["code_challenge"] == challenge.decode()
        assert asked["code_challenge_method"] == "S256"
        assert asked["redirect_uri"] == form["redirect_uri"]
        found = {"access_token": "an-access-token", "token_type": "Bearer", "expires_in": 60}
        return found if self.sends_no_id_token else found | {"id_token": self.id_token(asked["nonce"])}


@contextmanager
def running(key: RSAPrivateKey) -> Iterator[Company]:
    """The provider, listening."""

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            company.asked.append(self.path)
            place = urlsplit(self.path)
            if place.path == "/.well-known/openid-configuration":
                self._answer(company.says())
            elif place.path == "/jwks_uri":
                self._answer(company.keys())
            elif place.path == "/authorization_endpoint":
                query = _flat(place.query)
                back = urlencode({"code": company.code_for(query), "state": query["state"]})
                self.send_response(302)
                self.send_header("Location", f"{query['redirect_uri']}?{back}")
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self.send_error(404)

        def do_POST(self) -> None:
            company.asked.append(self.path)
            form = _flat(self.rfile.read(int(self.headers["Content-Length"])).decode())
            try:
                self._answer(company.token(form))
            except (AssertionError, KeyError):
                self.send_error(400)

        def _answer(self, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    company = Company(f"http://127.0.0.1:{server.server_port}", key)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield company
    finally:
        server.shutdown()
        server.server_close()


def _flat(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text).items()}
