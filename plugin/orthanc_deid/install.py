"""What the first start makes: folders, secrets and Orthanc's own configuration. Started again it changes nothing."""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import keyring, settings
from .errors import ConfigurationError

FOLDERS = ("", "storage", "quarantine", "logs", "slots")
ORTHANC_PLUGINS = Path("/usr/share/orthanc/plugins")
# Where Debian puts them; DICOMweb and GDCM are used where they are installed.
NEEDED_PLUGIN = "libOrthancPython.so"
OPTIONAL_PLUGINS = ("libOrthancDicomWeb.so", "libOrthancGdcm.so")
SLOW_LOOKUP_S = 1.0


def main(arguments: list[str]) -> int:
    """Prepare the home folder for `product` or `archive`; answer the exit code."""
    role = arguments[0] if arguments else "product"
    try:
        site = settings.load()
        check_ports({"ORTHANC_DEID_HTTP_PORT": site.http_port, "ORTHANC_DEID_DICOM_PORT": site.dicom_port})
        prepare(site, role)
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201  # a person reads this at the start
        return 2
    if role == "product":
        warn_of_slow_name()
    print(  # noqa: T201
        f"Orthanc on http://127.0.0.1:{site.http_port}/ (DICOM port {site.dicom_port}),"
        f" user admin, password in {site.admin_password_file}",
        flush=True,
    )
    return 0


def prepare(site: settings.Settings, role: str, changes: Mapping[str, Any] | None = None) -> Path:
    """Make home, secrets and `orthanc.json`; answer the path of the latter. `changes` win over the template.

    Raises
    ------
    ConfigurationError
        A secret is missing where it must not be made anew, or Orthanc's Python plugin is not installed.
    """
    for name in FOLDERS:
        private_folder(site.home / name)
    password = secret(site.admin_password_file, secrets.token_urlsafe(18))
    users = {"admin": password} | _second_user(site)
    if role == "product":
        key(site)
    values = orthanc_configuration(site, role, users) | dict(changes or {})
    path = site.home / "orthanc.json"
    replace_private(path, json.dumps(values, indent=4) + "\n")
    return path


def orthanc_configuration(site: settings.Settings, role: str, users: Mapping[str, str]) -> dict[str, Any]:
    """Put the template together with what only this start knows."""
    values = template(site)
    values |= {
        "HttpPort": site.http_port,
        "DicomPort": site.dicom_port,
        "StorageDirectory": str(site.home / "storage"),
        "IndexDirectory": str(site.home / "storage"),
        "RegisteredUsers": dict(users),
        "Plugins": [str(ORTHANC_PLUGINS / p) for p in OPTIONAL_PLUGINS if (ORTHANC_PLUGINS / p).exists()],
    }
    if role == "archive":
        return values | {"Name": "Research archive", "DicomAet": "RESEARCH"}
    python = ORTHANC_PLUGINS / NEEDED_PLUGIN
    if not python.exists():
        raise ConfigurationError("Orthanc's Python plugin is not installed (Debian package orthanc-python)")
    values["Plugins"].insert(0, str(python))
    return values | {"PythonScript": str(settings.CHECKOUT / "plugin" / "main.py")}


def template(site: settings.Settings) -> dict[str, Any]:
    """Read `orthanc.json` beside the site's deid.yaml, else the one that is shipped.

    A deid.yaml in the home folder has this module's own product beside it, which is no template.

    Raises
    ------
    ConfigurationError
        The file is not one JSON object (comments are not allowed here, though Orthanc takes them).
    """
    path = site.config_file.parent / "orthanc.json"
    if not path.exists() or path.parent == site.home:
        path = settings.CHECKOUT / "orthanc-config" / "orthanc.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{path.name}:{error.lineno}: {error.msg}") from None
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path.name}:1: not a JSON object")
    return values


def key(site: settings.Settings) -> str:
    """Read the master key, or make it where nothing was ever de-identified.

    Raises
    ------
    ConfigurationError
        The key is not 64 hexadecimal digits, or is gone while the ledger is there: a new key would give
        known patients new pseudonyms.
    """
    ring = keyring.Keyring(site.home)
    if ring.comes_from_outside:
        return ring.master.hex()
    if not site.key_file.exists() and (site.home / "deid.sqlite").exists():
        raise ConfigurationError("the file key is missing but the ledger is there: bring the key back from a backup")
    secret(site.key_file, secrets.token_hex(32))
    return ring.master.hex()


def secret(path: Path, first_value: str) -> str:
    """Read a one-line secret; write `first_value` where the file does not exist yet."""
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        _write_synced(descriptor, first_value + "\n")
    with contextlib.suppress(PermissionError):  # a container's secret belongs to another user, and is closed outside
        path.chmod(0o600)
    return settings.read_secret(path)


def private_folder(path: Path) -> None:
    """Make a folder that only its owner can enter; one that is there already is closed to others."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)


def replace_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 so that a reader sees the old text or the new, never a part."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    _write_synced(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), text)
    unfinished.replace(path)


def check_ports(ports: Mapping[str, int]) -> None:
    """Raise ConfigurationError naming the variable of a port that another program holds."""
    taken = [f"port {port} is in use; choose another: {name}={port + 1}" for name, port in ports.items() if busy(port)]
    if taken:
        hint = "Is another Orthanc running, perhaps by systemd (systemctl status orthanc)? It is left alone."
        raise ConfigurationError("\n".join([*taken, hint]))


def busy(port: int) -> bool:
    """Tell whether something listens on the port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return True
    return False


def warn_of_slow_name() -> None:
    """Orthanc asks for this host's own name with every UID it makes: without an entry each one waits for DNS."""
    try:
        found = subprocess.run(
            ["/usr/bin/getent", "hosts", socket.gethostname()],
            stdout=subprocess.DEVNULL,
            timeout=SLOW_LOOKUP_S,
            check=False,
        )
        quick = found.returncode == 0
    except subprocess.TimeoutExpired:
        quick = False
    if not quick:
        line = f"127.0.1.1 {socket.gethostname()}"
        print(f"Slow: this host does not know its own name; add to /etc/hosts: {line}", file=sys.stderr)  # noqa: T201


def _second_user(site: settings.Settings) -> dict[str, str]:
    """Answer the user that workers on other machines, or a sender, log in with."""
    if site.orthanc_username and site.orthanc_password_file:
        return {site.orthanc_username: settings.read_secret(site.orthanc_password_file)}
    return {}


def _write_synced(descriptor: int, text: str) -> None:
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
