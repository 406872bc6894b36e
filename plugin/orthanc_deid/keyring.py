"""Keys: the master key, and what each project and each generation of the crosswalk adds to it; standard library only.

A project's key is made of the master key and of 32 random bytes of its own, a file below `keys/`. So the master key may
live where no disk is (environment, key command), and a project can be cut off for ever: without its file nobody, the
holder of the master key included, can make its key again.
"""

import contextlib
import hmac
import os
import re
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .errors import ConfigurationError

MASTER, COMMAND, FOLDER = "ORTHANC_DEID_KEY", "ORTHANC_DEID_KEY_COMMAND", "ORTHANC_DEID_KEYS"
COMMAND_S = 30.0
SEALED = ".sealed"
_HEX = re.compile(r"[0-9a-fA-F]{64}")
_SALT_BYTES = 32
_GENERATION = re.compile(r"crosswalk-([1-9][0-9]{0,3})")


class Keyring:
    """The keys of one home.

    Parameters
    ----------
    home
        `ORTHANC_DEID_HOME`: holds `key` and the folder `keys`.
    environment
        Where ORTHANC_DEID_KEY (64 hexadecimal digits), ORTHANC_DEID_KEY_COMMAND (a command line that prints them) and
        ORTHANC_DEID_KEYS (the folder, where several machines share one) are looked for; without: the process's own.
    """

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        self._home = home
        self._environment = os.environ if environment is None else environment
        self._master: bytes | None = None

    @property
    def folder(self) -> Path:
        """Where the random parts are."""
        return Path(self._environment.get(FOLDER) or self._home / "keys")

    @property
    def master(self) -> bytes:
        """The master key, 32 bytes; asked for once.

        Raises
        ------
        ConfigurationError
            It is not there, or not 64 hexadecimal digits.
        """
        if self._master is None:
            where, text = self._read_master()
            if not _HEX.fullmatch(text):
                raise ConfigurationError(f"{where} does not hold 64 hexadecimal digits")
            self._master = bytes.fromhex(text)
        return self._master

    @property
    def comes_from_outside(self) -> bool:
        """Tell whether the master key is not the home's file."""
        return bool(self._environment.get(MASTER) or self._environment.get(COMMAND))

    def project(self, name: str) -> bytes:
        """Return the key that pseudonyms, UIDs and dates of a project derive from; made at the first call.

        Raises
        ------
        ConfigurationError
            The project is sealed: its key was destroyed.
        """
        return self._derived("project", name, self._salt(f"project-{name}"))

    def is_sealed(self, name: str) -> bool:
        """Tell whether a project's key was destroyed."""
        return (self.folder / f"project-{name}{SEALED}").exists()

    def destroy(self, name: str) -> None:
        """Destroy a project's key for ever: its random part is overwritten and deleted, a mark stays."""
        mark = self.folder / f"project-{name}{SEALED}"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark.touch(mode=0o600)
        self._erase(f"project-{name}")

    def crosswalk(self, project: str, generation: int) -> bytes:
        """Return the key that one generation of a project's crosswalk is encrypted with.

        Raises
        ------
        ConfigurationError
            There is no such generation, or the project is sealed.
        """
        name = f"crosswalk-{generation}"
        if not (self.folder / name).exists():
            raise ConfigurationError(f"the key {name} is not in the folder keys: bring it back from a backup")
        return hmac.digest(self.project(project), b"crosswalk\x00" + self._salt(name), "sha256")

    def generations(self) -> list[int]:
        """Return the numbers of the crosswalk keys that are there, the newest last; the first is made where none is."""
        found = self._generations()
        if not found:
            self._salt("crosswalk-1")
            found = self._generations()
        return found

    def add_generation(self) -> int:
        """Make the next crosswalk key and return its number."""
        number = self.generations()[-1] + 1
        self._salt(f"crosswalk-{number}")
        return number

    def retire(self, generation: int) -> None:
        """Destroy a crosswalk key that nothing is encrypted with any more."""
        self._erase(f"crosswalk-{generation}")

    def audit(self) -> bytes:
        """Return the key of the audit's chain."""
        return hmac.digest(self.master, b"orthanc-deid\x00audit", "sha256")

    def _generations(self) -> list[int]:
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        return sorted(int(found[1]) for name in names if (found := _GENERATION.fullmatch(name)))

    def _derived(self, kind: str, name: str, salt: bytes) -> bytes:
        return hmac.digest(self.master, f"orthanc-deid\x00{kind}\x00{name}\x00".encode() + salt, "sha256")

    def _read_master(self) -> tuple[str, str]:
        if self._environment.get(MASTER):
            return MASTER, self._environment[MASTER].strip()
        if self._environment.get(COMMAND):
            return COMMAND, _printed(self._environment[COMMAND])
        try:
            return "the file key", (self._home / "key").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"the key cannot be read ({type(error).__name__})") from None

    def _salt(self, name: str) -> bytes:
        if (self.folder / f"{name}{SEALED}").exists():
            raise ConfigurationError(f"{name} is sealed: its key was destroyed, nothing more can be done for it")
        path = self.folder / name
        if not path.exists():
            self._make(path)
        try:
            text = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"keys/{name} cannot be read ({type(error).__name__})") from None
        if not _HEX.fullmatch(text):
            raise ConfigurationError(f"keys/{name} does not hold 64 hexadecimal digits")
        return bytes.fromhex(text)

    def _make(self, path: Path) -> None:
        """Write random bytes whole and synced, once: of two processes that do it the first wins."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(_SALT_BYTES) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(unfinished, path)
        unfinished.unlink()
        self._sync()

    def _erase(self, name: str) -> None:
        path = self.folder / name
        with contextlib.suppress(FileNotFoundError), path.open("r+b") as stream:
            stream.write(secrets.token_bytes(path.stat().st_size))
            stream.flush()
            os.fsync(stream.fileno())
        path.unlink(missing_ok=True)
        self._sync()

    def _sync(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _printed(command: str) -> str:
    """Run a key command by the shell; what it writes to stderr is not shown, it may name what it asks."""
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=COMMAND_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigurationError(f"{COMMAND}: no answer in {COMMAND_S:.0f} s") from None
    if done.returncode:
        raise ConfigurationError(f"{COMMAND}: it ended with exit code {done.returncode}")
    return done.stdout.decode("ascii", "replace").strip()
