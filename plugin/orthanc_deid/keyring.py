"""Keys: the master key, and what each project and each generation of the crosswalk adds to it; standard library only.

A project's key is made of the master key and of 32 random bytes of its own, a file below `keys/`. So the master key may
live where no disk is (environment, key command), and a project can be cut off for ever: without its file nobody, the
holder of the master key included, can make its key again.

What a home has seen it remembers beside the folder (`known-keys/`): where the folder is gone, unmounted or another one,
no new key is made for a project that had one, since all its patients would get other pseudonyms.
"""

import contextlib
import hmac
import os
import re
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from .errors import ConfigurationError

MASTER, COMMAND, FOLDER = "ORTHANC_DEID_KEY", "ORTHANC_DEID_KEY_COMMAND", "ORTHANC_DEID_KEYS"
COMMAND_S = 30.0
PRIVATE = 0o077  # bits that no key's mode may have
_HEX = re.compile(r"[0-9a-fA-F]{64}")
_SALT_BYTES = 32
_GENERATION = re.compile(r"crosswalk-([1-9][0-9]{0,3})")
GONE = "the key {0} is not in the folder of keys: mount the folder, or bring {0} back from a backup"


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
        self._remembered: set[str] = set()
        self.folder = Path(self._environment.get(FOLDER) or home / "keys")  # where the random parts are

    @property
    def source(self) -> str:
        """Where the master key comes from, in words."""
        for name in (MASTER, COMMAND):
            if self._environment.get(name):
                return name
        return "the file key"

    @property
    def comes_from_outside(self) -> bool:
        """Tell whether the master key is not the home's file."""
        return self.source in (MASTER, COMMAND)

    @property
    def master(self) -> bytes:
        """The master key, 32 bytes; asked for once.

        Raises
        ------
        ConfigurationError
            It is not there, or not 64 hexadecimal digits.
        """
        if self._master is None:
            text = self._read_master()
            if not _HEX.fullmatch(text):
                raise ConfigurationError(f"{self.source} does not hold 64 hexadecimal digits")
            self._master = bytes.fromhex(text)
        return self._master

    def project(self, name: str) -> bytes:
        """Return the key that pseudonyms, UIDs and dates of a project derive from; made at the first call.

        Raises
        ------
        ConfigurationError
            The project is sealed: its key was destroyed; or its key was here before and is gone.
        """
        part = f"project-{name}"
        self._demand_unsealed(name)
        if not self.has(name):
            if (self._home / "known-keys" / part).exists():
                raise ConfigurationError(GONE.format(part))
            self._make(part)
        salt = self._salt(part)
        self._demand_unsealed(name)  # once more: what was made after a seal is no key
        self._remember(part)
        return hmac.digest(self.master, f"orthanc-deid\x00project\x00{name}\x00".encode() + salt, "sha256")

    def has(self, name: str) -> bool:
        """Tell whether a project's random part is there."""
        return (self.folder / f"project-{name}").exists()

    def is_sealed(self, name: str) -> bool:
        """Tell whether a project's key was destroyed."""
        return (self.folder / f"sealed-{name}").exists()

    def destroy(self, name: str) -> None:
        """Destroy a project's key for ever: its random part is overwritten and deleted, a mark stays."""
        with _telling(f"sealed-{name}"):
            self._make_folder()
            (self.folder / f"sealed-{name}").touch(mode=0o600)
            _sync(self.folder)
            self._erase(f"project-{name}")

    def crosswalk(self, project: str, generation: int) -> bytes:
        """Return the key that one generation of a project's crosswalk is encrypted with.

        Raises
        ------
        ConfigurationError
            There is no such generation, or the project is sealed.
        """
        return self.of_generation(self.project(project), generation)

    def of_generation(self, key: bytes, generation: int) -> bytes:
        """Return what `crosswalk` does, of a project's key that was read already."""
        return hmac.digest(key, b"crosswalk\x00" + self._salt(f"crosswalk-{generation}"), "sha256")

    def generations(self) -> list[int]:
        """Return the numbers of the crosswalk keys that are there, the newest last."""
        with _telling(""):
            names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        return sorted(int(found[1]) for name in names if (found := _GENERATION.fullmatch(name)))

    def add_generation(self) -> int:
        """Make the next crosswalk key, or the first, and return its number."""
        number = max(self.generations(), default=0) + 1
        self._make(f"crosswalk-{number}")
        return number

    def retire(self, generation: int) -> None:
        """Destroy a crosswalk key that nothing is encrypted with any more."""
        with _telling(f"crosswalk-{generation}"):
            self._erase(f"crosswalk-{generation}")

    def audit(self) -> bytes:
        """Return the key of the audit's chain."""
        return hmac.digest(self.master, b"orthanc-deid\x00audit", "sha256")

    def modes(self) -> dict[str, int]:
        """Return the mode of the master key's file, the folder, and all in it, by name."""
        found = {} if self.comes_from_outside else {"key": self._home / "key"}
        found["keys"] = self.folder
        with _telling(""):
            if self.folder.is_dir():
                found |= {f"keys/{path.name}": path for path in sorted(self.folder.iterdir())}
            return {name: path.stat().st_mode & 0o7777 for name, path in found.items() if path.exists()}

    def _read_master(self) -> str:
        if self.source == MASTER:
            return self._environment[MASTER].strip()
        if self.source == COMMAND:
            return _printed(self._environment[COMMAND])
        try:
            return (self._home / "key").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"the key cannot be read ({type(error).__name__})") from None

    def _demand_unsealed(self, name: str) -> None:
        if self.is_sealed(name):
            with _telling(f"project-{name}"):
                self._erase(f"project-{name}")  # of a backup, or made in the moment of the seal
            raise ConfigurationError(
                f"project {name} is sealed: its key was destroyed, nothing more can be done for it"
            )

    def _salt(self, name: str) -> bytes:
        try:
            text = (self.folder / name).read_bytes().decode("ascii", "replace").strip()
        except FileNotFoundError:
            raise ConfigurationError(GONE.format(name)) from None
        except OSError as error:
            raise ConfigurationError(f"keys/{name} cannot be read ({type(error).__name__})") from None
        if not _HEX.fullmatch(text):
            raise ConfigurationError(f"keys/{name} does not hold 64 hexadecimal digits: bring it back from a backup")
        return bytes.fromhex(text)

    def _make(self, name: str) -> None:
        """Write random bytes whole and synced, once: of two processes that do it the first wins."""
        with _telling(name):
            self._make_folder()
            unfinished = self.folder / f".{name}.{secrets.token_hex(8)}"
            try:
                descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "w", encoding="ascii") as stream:
                    stream.write(secrets.token_hex(_SALT_BYTES) + "\n")
                    stream.flush()
                    os.fsync(stream.fileno())
                with contextlib.suppress(FileExistsError):
                    os.link(unfinished, self.folder / name)
            finally:
                unfinished.unlink(missing_ok=True)
            _sync(self.folder)

    def _make_folder(self) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(PermissionError):  # of a folder above that we may enter, not read
                _sync(self.folder.parent)

    def _remember(self, part: str) -> None:
        """Note in the home that a key was here; a home that cannot be written remembers nothing."""
        if part not in self._remembered:
            mark = self._home / "known-keys" / part
            with contextlib.suppress(OSError):
                mark.parent.mkdir(mode=0o700, exist_ok=True)
                mark.touch(mode=0o600)
            self._remembered.add(part)

    def _erase(self, name: str) -> None:
        """Overwrite and delete a random part, and what a process that was killed has left of its making."""
        left = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]{{16}}")
        for path in [self.folder / name, *(p for p in self.folder.iterdir() if left.fullmatch(p.name))]:
            with contextlib.suppress(FileNotFoundError), path.open("r+b") as stream:
                stream.write(secrets.token_bytes(path.stat().st_size))
                stream.flush()
                os.fsync(stream.fileno())
            path.unlink(missing_ok=True)
        _sync(self.folder)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _telling(name: str) -> Iterator[None]:
    """Turn what the disk refuses into a fault of the set-up that names the key, never a path."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"keys/{name} cannot be used ({type(error).__name__})") from None


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
