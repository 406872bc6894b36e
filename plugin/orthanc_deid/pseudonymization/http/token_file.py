"""DASHER's token: a JSON file that is renewed in place, by one process at a time."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import ConfigurationError, Retriable
from ...settings.http_auth import printable

ACCESS, REFRESH, ADDRESS = "accessToken", "refreshToken", "token_uri"
_LOOK_S = 0.05

# (token_uri, refresh token) -> what the token end point answers.
Fetch = Callable[[str, str], Mapping[str, Any]]


class TokenFile:
    """`accessToken, client_id, refreshToken, token_uri`; shown nowhere.

    Parameters
    ----------
    path
        The file; a link to it is followed, so that the file itself is replaced.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()

    def access(self) -> str:
        """Return the present token; raise ConfigurationError where there is none."""
        return str(self._read()[ACCESS])

    def renewed(self, refused: str, fetch: Fetch, seconds: float) -> str:
        """Return another token than the one that was refused: what another process fetched meanwhile, or a new one.

        Raises
        ------
        Retriable
            Another process is at it for so many seconds.
        ConfigurationError
            The file cannot be read or written.
        """
        with self._locked(seconds):
            now = self._read()
            if now[ACCESS] != refused:
                return str(now[ACCESS])
            # Opened before the refresh token is used: a folder that cannot be written must not cost it.
            with self._replacing() as write:
                told = fetch(str(now[ADDRESS]), str(now[REFRESH]))
                new = now | {key: told[key] for key in (ACCESS, REFRESH) if told.get(key)}
                write(_demanded(new, self._path.name))
            return str(new[ACCESS])

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"token file {self._path.name}: {type(error).__name__}") from None
        return _demanded(found, self._path.name)

    @contextlib.contextmanager
    def _locked(self, seconds: float) -> Iterator[None]:
        end = time.monotonic() + seconds
        beside = self._path.with_name(f"{self._path.name}.lock")
        with self._writable(beside, os.O_WRONLY | os.O_CREAT) as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise Retriable("another process renews the token and does not come to an end") from None
                    time.sleep(_LOOK_S)
                else:
                    break
            yield

    @contextlib.contextmanager
    def _replacing(self) -> Iterator[Callable[[dict[str, Any]], None]]:
        unfinished = self._path.with_name(f"{self._path.name}.new")

        def write(content: dict[str, Any]) -> None:
            file.write(json.dumps(content))
            file.flush()
            os.fsync(file.fileno())
            unfinished.replace(self._path)

        with self._writable(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
            try:
                os.fchmod(file.fileno(), 0o600)
                yield write
            finally:
                unfinished.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _writable(self, path: Path, flags: int) -> Iterator[Any]:
        try:
            file = os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"token file {self._path.name}: its folder cannot be written ({type(error).__name__})"
            ) from None
        with file:
            yield file


def _demanded(found: Any, name: str) -> dict[str, Any]:  # noqa: ANN401  # JSON
    if not isinstance(found, dict) or not all(
        isinstance(found.get(key), str) and found[key] for key in (ACCESS, REFRESH, ADDRESS)
    ):
        raise ConfigurationError(f"token file {name}: it needs {ACCESS}, {REFRESH} and {ADDRESS}")
    printable(found[ACCESS])
    return found
