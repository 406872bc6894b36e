"""SFTP."""

import base64
import hashlib
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem

from ..errors import ConfigurationError, Retriable
from ..settings.stores import Store as StoreSettings
from .errors import translated
from .fsspec_store import CHECK, FsspecStore
from .store import Digests, Listed, Writing

_PORT = 22
_STRANGE = "the server's key is not the one that is known: ask its keeper before you change known_hosts"


class _Pinned(paramiko.MissingHostKeyPolicy):
    """Accepts a key by its fingerprint, as `ssh-keygen -l` prints it, and no other."""

    def __init__(self, fingerprints: tuple[str, ...]) -> None:
        self._fingerprints = {each.removeprefix("SHA256:").rstrip("=") for each in fingerprints}

    def missing_host_key(self, client: object, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002  # paramiko's
        if base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=") not in self._fingerprints:
            _refuse()


class _Sftp(SFTPFileSystem):  # type: ignore[misc]  # not typed
    """Knows the server's key before it logs in; never uses the keys or the agent of the account that it runs as."""

    cachable = False  # by fsspec: a connection that was closed would be given out again

    def __init__(self, settings: StoreSettings, address: tuple[str, int]) -> None:
        self._deid = settings
        super().__init__(address[0], port=address[1])

    def _connect(self) -> None:
        settings = self._deid
        self.client = paramiko.SSHClient()
        if settings.known_hosts:
            try:
                self.client.load_host_keys(str(settings.known_hosts))
            except OSError:
                raise ConfigurationError(f"file {settings.known_hosts.name} cannot be read") from None
        self.client.set_missing_host_key_policy(_Pinned(settings.host_key_sha256))
        limit = min(settings.timeout_s, 15)
        try:
            self.client.connect(
                self.host, port=self.ssh_kwargs["port"], username=settings.username, password=settings.password(),
                key_filename=str(settings.private_key_file) if settings.private_key_file else None,
                passphrase=settings.passphrase(), look_for_keys=False, allow_agent=False, timeout=limit,
                banner_timeout=limit, auth_timeout=limit, channel_timeout=limit,
            )  # fmt: skip
            self.ftp = self.client.open_sftp()
        except paramiko.BadHostKeyException:
            self.client.close()
            _refuse()
        except BaseException:
            self.client.close()
            raise
        self.ftp.get_channel().settimeout(settings.timeout_s)  # type: ignore[union-attr]  # it is open


class SftpStore(FsspecStore):
    """One folder of a server; a file is written under a name of its own and renamed when it is whole."""

    def __init__(self, fs: _Sftp, root: str, part_bytes: int) -> None:
        super().__init__(fs, root, part_bytes)
        self._made: set[str] = set()

    def describe(self) -> str:
        """Look at the folder and write a file."""
        with translated():
            self._fs.ftp.stat(self._root or "/")
            check = self._path(CHECK)
            with self._fs.ftp.open(check, "wb") as file:
                file.write(b"check")
            self._fs.ftp.remove(check)
        return "SFTP folder, can be written"

    def put(self, path: Path, key: str, unit: str, digests: Digests, metadata: Mapping[str, str]) -> None:  # noqa: ARG002  # SFTP keeps none
        """Store a local file, whole or not at all, in place of what stands there."""
        folder, _, name = self._path(key).rpartition("/")
        part = f"{folder}/.{name}.part"
        with translated():
            try:
                self._folder(key)
                self._fs.ftp.put(str(path), part, confirm=True)
                self._rename(part, f"{folder}/{name}")
            except OSError as error:
                transport = self._fs.client.get_transport()
                if error.errno is None and transport is not None and transport.is_active():
                    # SSH_FX_FAILURE: the protocol has no word for a full disk.
                    raise Retriable("the server does not take the file: its disk may be full") from None
                raise

    def walk(self, skip: Callable[[str], bool]) -> Iterator[Listed]:
        """Yield every file, a page at a time; what is moved meanwhile does not disturb it."""
        with translated():
            yield from self._walk("", skip)

    def find(self, key: str) -> Listed | None:
        """Return a file as `walk` lists it; None where there is none."""
        with translated():
            try:
                return _listed(key, self._fs.ftp.lstat(self._path(key)))
            except FileNotFoundError:
                return None

    def below(self, folder: str) -> Iterator[Listed]:
        """Yield every file below a folder."""
        with translated(), suppress(FileNotFoundError):
            yield from self._walk(f"{folder}/", lambda _name: False)

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder."""
        with translated():
            try:
                found = self._fs.ftp.listdir_iter(self._path(folder), read_aheads=1)
                return [each.filename for each in found if stat.S_ISDIR(each.st_mode or 0)]
            except FileNotFoundError:
                return []

    def _walk(self, above: str, skip: Callable[[str], bool]) -> Iterator[Listed]:
        # One answer ahead: with more, a request of somebody else would take an answer that is meant for us.
        for each in self._fs.ftp.listdir_iter(self._path(above) or "/", read_aheads=1):
            mode = each.st_mode or 0
            if stat.S_ISDIR(mode) and not skip(each.filename):
                with suppress(FileNotFoundError):  # moved away meanwhile
                    yield from self._walk(f"{above}{each.filename}/", lambda _name: False)
            elif stat.S_ISREG(mode):
                yield _listed(f"{above}{each.filename}", each)

    def move(self, key: str, target: str) -> None:
        """Rename a file; one that stands there already is not replaced."""
        with translated():
            self._folder(target)
            self._fs.ftp.rename(self._path(key), self._path(target))

    def write(self, key: str, content: bytes) -> None:
        """Store a small file."""
        with translated():
            self._folder(key)
            with self._fs.ftp.open(self._path(key), "wb") as file:
                file.write(content)

    def remove_folder(self, folder: str) -> None:
        """Delete a folder where it is empty."""
        with translated(), suppress(OSError):
            self._fs.ftp.rmdir(self._path(folder))

    def _folder(self, key: str) -> None:
        """Make the folders below the root; the root itself is the keeper's."""
        parts = key.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            folder = self._path("/".join(parts[:count]))
            if folder in self._made:
                continue
            try:
                self._fs.ftp.stat(folder)
            except FileNotFoundError:
                self._fs.ftp.mkdir(folder)
            self._made.add(folder)

    def _rename(self, part: str, target: str) -> None:
        try:
            self._fs.ftp.posix_rename(part, target)
        except OSError:  # a server without OpenSSH's extension renames onto nothing that stands there
            with suppress(FileNotFoundError):
                self._fs.ftp.remove(target)
            self._fs.ftp.rename(part, target)


@contextmanager
def opened(settings: StoreSettings, writing: Writing, host: str, port: int | None) -> Iterator[SftpStore]:
    """Connect, and close the connection in the end."""
    with translated():
        fs = _Sftp(settings, (host, port or _PORT))
    try:
        yield SftpStore(fs, settings.root, writing.part_bytes)
    finally:
        fs.ftp.close()
        fs.client.close()


def _listed(key: str, found: paramiko.SFTPAttributes) -> Listed:
    return Listed(key, found.st_size or 0, f"{found.st_size}:{found.st_mtime}")


def _refuse() -> NoReturn:
    raise ConfigurationError(_STRANGE)
