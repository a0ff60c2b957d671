"""Tokens for the key of a Google service account; nothing else here imports ``google.auth``."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import time
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

from .._core.config import TransferConfig
from ..errors import AuthenticationError, ConfigError, NeuroError, StorageUnavailable
from .rest import Answer, Rest

__all__ = ["KeyTokens"]

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_LIFE = 3600
_MARGIN = 300.0
_FIELDS = ("client_email", "private_key", "token_uri")


class KeyTokens:
    """Asks for tokens with a key, and again before one ends."""

    def __init__(self, key: Mapping[str, str], *, name: str, transfer: TransferConfig) -> None:
        self._key = key
        self._name = name
        self._rest = Rest(name=name, transfer=transfer, error=self._refusal)
        self._token = ""
        self._until = 0.0

    @staticmethod
    def parse(key_data: str) -> Mapping[str, str]:
        """The key in *key_data*, JSON or base64 of it; ValueError says what is wrong."""
        text = key_data.strip()
        try:
            if not text.startswith("{"):
                text = base64.b64decode(text, validate=True).decode()
            key = json.loads(text)
        except (binascii.Error, ValueError):
            raise ValueError("must be the JSON key of a service account, in base64") from None
        for name in _FIELDS:
            if not isinstance(key, dict) or not isinstance(key.get(name), str):
                raise ValueError(f"must be the key of a service account, with {name!r}")
        if urlsplit(key["token_uri"]).scheme not in ("http", "https"):
            raise ValueError("must have a URL as its 'token_uri'")
        return {name: str(value) for name, value in key.items()}

    async def token(self) -> str:
        """A token that is good for some minutes at least."""
        if time.time() > self._until - _MARGIN:
            assertion = await asyncio.to_thread(self._assertion)
            query = {
                "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "assertion": assertion,
            }
            asked = time.time()
            answer = await self._rest.send(
                "POST",
                self._key["token_uri"],
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                body=[urlencode(query).encode()],
            )
            try:
                told = json.loads(answer.body)
                self._token, life = str(told["access_token"]), float(told["expires_in"])
            except (ValueError, KeyError, TypeError):
                raise AuthenticationError(
                    "Google gave no token for the key", bucket=self._name
                ) from None
            self._until = asked + life
        return self._token

    async def close(self) -> None:
        """Close the connections."""
        await self._rest.close()

    def _refusal(self, answer: Answer, _: str | None) -> NeuroError:
        if answer.status >= 500:
            return StorageUnavailable(
                f"Google gave no token: status {answer.status}", bucket=self._name
            )
        return AuthenticationError("Google refused the key of the account", bucket=self._name)

    def _assertion(self) -> str:
        try:
            from google.auth import crypt, jwt
        except ImportError as cause:
            raise ConfigError(
                "keys of service accounts need a package that is not installed; "
                "run: pip install 'neuro-blob-sdk[gcs]'"
            ) from cause
        now = int(time.time())
        claims = {
            "iss": self._key["client_email"],
            "scope": _SCOPE,
            "aud": self._key["token_uri"],
            "iat": now,
            "exp": now + _LIFE,
        }
        try:
            signer = crypt.RSASigner.from_service_account_info(dict(self._key))
            assertion: bytes = jwt.encode(signer, claims)
        except ValueError:
            raise ConfigError("the private key in 'key_data' cannot be read") from None
        return assertion.decode()
