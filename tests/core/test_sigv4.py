"""Signatures, against botocore's signer."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from neuro_sdk._core.sigv4 import Keys, signed

_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
_WORD = st.text("abcdefghijklmnopqrstuvwxyz-0123456789", min_size=1, max_size=10)


def _by_botocore(method: str, url: str, headers: dict[str, str], keys: Keys) -> dict[str, str]:
    request = AWSRequest(method, url, headers=dict(headers))
    request.context["client_config"] = Config(s3={"payload_signing_enabled": False})
    theirs = Credentials(keys.access_key, keys.secret_key, keys.session_token)
    S3SigV4Auth(theirs, "s3", "eu-north-1").add_auth(request)
    return dict(request.headers)


@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    base=st.sampled_from(
        [
            "http://127.0.0.1:8333",
            "https://s3.example.com",
            "https://b.example.com:443",
            "http://h:80",
            "http://[::1]:8333",
            "http://[fd00::2]",
        ]
    ),
    key=_TEXT,
    query=st.dictionaries(_WORD, _TEXT | st.just(""), max_size=4),
    headers=st.dictionaries(_WORD.map(lambda word: f"x-amz-{word}"), _WORD, max_size=3),
    secret=_TEXT,
    token=st.none() | _WORD,
)
def test_as_botocore_signs(
    method: str,
    base: str,
    key: str,
    query: dict[str, str],
    headers: dict[str, str],
    secret: str,
    token: str | None,
) -> None:
    escaped = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    url = f"{base}/bucket/{quote(key, safe='/~')}?{escaped}"
    keys = Keys(access_key="who", secret_key=secret, session_token=token)
    headers = {"Content-Type": "application/octet-stream", **headers}
    theirs = _by_botocore(method, url, headers, keys)
    now = datetime.strptime(theirs["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    ours = signed(method, url, headers, keys, region="eu-north-1", now=now)
    assert {name.lower(): value for name, value in ours.items()} == {
        name.lower(): value for name, value in theirs.items()
    }


def test_no_secret_shows() -> None:
    keys = Keys(access_key="who", secret_key="hidden", session_token="veiled")
    assert repr(keys) == "Keys()"
    sent = signed("GET", "https://h/", {}, keys, region="r", now=datetime.now(UTC))
    assert "hidden" not in str(sent)
