"""What gives out Google's tokens: it checks that requests are signed with the tests' key."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote

from cryptography.hazmat.primitives import serialization
from google.auth import jwt

from .fake_gcs import private_key

_GOOGLE = "https://oauth2.googleapis.com/token"  # whom Google's package means, whoever it asks


@dataclass
class GoogleTokens:
    """``life`` is how many seconds a token lives; ``boundaries`` are those asked for."""

    url: str
    life: int = 3600
    refuse: bool = False
    issued: list[str] = field(default_factory=list)
    boundaries: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, body: bytes) -> tuple[int, dict[str, object]]:
        asked = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if self.refuse:
            return 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        if asked["grant_type"].endswith("jwt-bearer"):
            claims = jwt.decode(
                asked["assertion"], certs=_public_key(), audience=[self.url, _GOOGLE]
            )
            assert claims["iss"] == "buckets@test-project.iam.gserviceaccount.com"
            assert "devstorage" in claims["scope"]
        else:
            assert asked["grant_type"].endswith("token-exchange")
            assert asked["subject_token"] in self.issued
            self.boundaries.append(json.loads(unquote(asked["options"])))
        self.issued.append(f"token-{len(self.issued)}")
        told = {"access_token": self.issued[-1], "expires_in": self.life, "token_type": "Bearer"}
        return 200, {**told, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}


@contextmanager
def google_tokens() -> Iterator[GoogleTokens]:
    """Answers at ``url`` to keys that want a token, and to tokens that want a smaller one."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, told = tokens.answer(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tokens = GoogleTokens(f"http://127.0.0.1:{server.server_port}/token")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield tokens
        finally:
            server.shutdown()
            thread.join()


def _public_key() -> bytes:
    return (
        private_key()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
