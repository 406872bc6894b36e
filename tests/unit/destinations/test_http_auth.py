"""Proving who sends: keys in headers, passwords, tokens that end."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from http_cases import destination
from http_servers import Authority, Behaviour, HttpServer, TokenServer, answers, drips, is_huge, silent
from orthanc_deid.errors import ConfigurationError, Retriable
from orthanc_deid.web import oauth

CHECK = {"path": "/me"}


@pytest.fixture(autouse=True)
def _no_tokens() -> Iterator[None]:
    oauth.forget()
    yield
    oauth.forget()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def tokens() -> TokenServer:
    return TokenServer(always=answers(200))


@pytest.fixture
def far(authority: Authority, tokens: TokenServer) -> Iterator[HttpServer]:
    with HttpServer(tokens, tls=authority.context()) as server:
        yield server


def oauth2(far: HttpServer, tmp_path: Path, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # of OAuth2
    secret = tmp_path / "secret"
    if not secret.exists():
        secret.write_text("client s&cret\n")
    return {
        "kind": "oauth2",
        "token_url": f"{far.url}/token",
        "client_id": "deid",
        "client_secret_file": secret,
        **more,
    }


def check(far: HttpServer, authority: Authority, auth: dict[str, Any], **more: Any) -> str:  # noqa: ANN401  # of Http
    values = {"check_request": CHECK, "ca_file": authority.file, **more}
    return destination(far.url, auth=auth, **values).check()


def test_a_secret_is_read_at_the_moment_of_use(tmp_path: Path) -> None:
    key = tmp_path / "key"
    with HttpServer(answers(200)) as far:
        auth = {"kind": "header", "header": "X-Api-Key", "prefix": "Key ", "value_file": key}
        there = destination(far.url, auth=auth, check_request=CHECK)
        with pytest.raises(ConfigurationError, match="secret file key: FileNotFoundError"):
            there.check()
        for value in ("first", "second"):
            key.write_text(value + "\n")
            assert there.check() == "HTTP server, log-in accepted (200)"
            assert far.received[-1].headers["x-api-key"] == f"Key {value}"
        key.write_text("no\x01thing")
        with pytest.raises(ConfigurationError, match="printable ASCII"):
            there.check()


def test_user_and_password_go_as_basic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_PASSWORD", "pass:wörd")
    with HttpServer(answers(200)) as far:
        auth = {"kind": "basic", "username": "deid", "password_env": "FAR_PASSWORD"}
        destination(far.url, auth=auth, check_request=CHECK).check()
        told = far.received[0].headers["authorization"].removeprefix("Basic ")
        assert base64.b64decode(told) == "deid:pass:wörd".encode()


@pytest.mark.parametrize("place", ["header", "body"])
def test_a_token_is_fetched_once_and_used_by_all(
    far: HttpServer, authority: Authority, tokens: TokenServer, tmp_path: Path, place: str
) -> None:
    auth = oauth2(far, tmp_path, client_secret_in=place, scope=("images.write",), parameters={"audience": "far"})
    for _ in range(3):
        check(far, authority, auth)
    assert tokens.given == ["token-1"]
    form = tokens.asked[0].body.decode()
    assert "scope=images.write" in form
    assert "audience=far" in form
    assert ("client_secret" in form) == (place == "body")


def test_a_token_that_has_ended_is_renewed_once(
    far: HttpServer, authority: Authority, tokens: TokenServer, tmp_path: Path
) -> None:
    auth = oauth2(far, tmp_path)
    check(far, authority, auth)
    tokens.valid.clear()
    check(far, authority, auth)
    assert tokens.given == ["token-1", "token-2"]
    tokens.always = answers(401, b"go away, Zyxwvut")
    with pytest.raises(ConfigurationError, match=r"^it refuses the log-in \(401\)$"):
        check(far, authority, auth)
    assert len(tokens.given) == 3


def test_a_token_that_is_about_to_end_is_not_used(
    far: HttpServer, authority: Authority, tokens: TokenServer, tmp_path: Path
) -> None:
    tokens.lifetime_s = 20
    for _ in range(2):
        check(far, authority, oauth2(far, tmp_path))
    assert len(tokens.given) == 2


def test_a_wrong_client_secret_is_told(far: HttpServer, authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("another")
    with pytest.raises(ConfigurationError, match=r"^the token end point refuses the client with code 401$"):
        check(far, authority, oauth2(far, tmp_path))


@pytest.mark.parametrize(
    ("behaviour", "kind", "words"),
    [
        (answers(503, None, Retry_After="9"), Retriable, r"token end point: it is away or overloaded \(503\)"),
        (answers(400, {"error": "Zyxwvut"}), ConfigurationError, "refuses the client with code 400"),
        (answers(302, None, Location="https://elsewhere.example.org"), ConfigurationError, "code 302"),
        (answers(200, b"<html>Zyxwvut"), ConfigurationError, "answer is no token"),
        (answers(200, {"error": "Zyxwvut"}), ConfigurationError, "answer is no token"),
        (answers(200, {"token": 1}), ConfigurationError, "answer is no token"),
        (answers(200, [1]), ConfigurationError, "answer is no token"),
        (answers(200, {"access_token": "a\r\nb", "token_type": "Bearer"}), ConfigurationError, "printable ASCII"),
        (answers(200, {"access_token": "a", "token_type": "mac"}), ConfigurationError, "another kind of token"),
        (is_huge, ConfigurationError, "answer is no token"),
        (silent, Retriable, "token end point: "),
        (drips, Retriable, "token end point: "),
    ],
)
def test_faults_of_the_token_end_point_are_told(
    far: HttpServer, authority: Authority, tmp_path: Path, behaviour: Behaviour, kind: type[Exception], words: str
) -> None:
    far.next_ = [behaviour]
    with pytest.raises(kind, match=words) as fault:
        check(far, authority, oauth2(far, tmp_path), timeout_s=0.7)
    assert "Zyxwvut" not in str(fault.value)
    if "503" in words:
        assert isinstance(fault.value, Retriable)
        assert fault.value.after_s == 9
    check(far, authority, oauth2(far, tmp_path))


def test_a_check_proves_the_log_in_or_says_that_it_does_not() -> None:
    with HttpServer(answers(404)) as far:
        assert "only a check_request can prove the log-in" in destination(far.url).check()
        assert far.received[0].method == "HEAD"
        far.next_ = [answers(401)]
        with pytest.raises(ConfigurationError, match="refuses the log-in"):
            destination(far.url).check()
        far.next_ = [answers(500)]
        with pytest.raises(Retriable):
            destination(far.url).check()
        rule = {**CHECK, "rule": {"pointer": "/ready", "equals": True}}
        far.next_ = [answers(200, {"ready": 1}), answers(200, {"ready": True})]
        with pytest.raises(ConfigurationError, match="does not hold what its rule says"):
            destination(far.url, check_request=rule).check()
        assert destination(far.url, check_request=rule).check() == "HTTP server, log-in accepted (200)"
    assert json.dumps([r.body.decode() for r in far.received]) == json.dumps([""] * len(far.received))
