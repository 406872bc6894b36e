"""doctor: is everything set up as it should be, and what to do where it is not."""

import calendar
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
from sqlalchemy.exc import SQLAlchemyError

from .. import destinations, profiles, settings
from ..database import address, demand_current, open_database
from ..database.key_states import WRONG, KeyStates
from ..errors import DeidError
from ..keyring import PRIVATE, Keyring
from ..orthanc_rest import Address, Orthanc, basic
from ..settings import FREE_BYTES, Settings
from .server import Server, read_password

SLOW_LOOKUP_S = 0.5
DCMTK = "/usr/bin"  # where Debian has it
CLOCK_S = 5.0
DATABASE_HINT = "is it running, is ORTHANC_DEID_DATABASE_URL right, is its password in PGPASSWORD?"


@dataclass(frozen=True)
class Result:
    """One check."""

    check: str
    ok: bool
    detail: str


def diagnose(url: str, user: str, password_file: Path | None) -> list[Result]:
    """Run every check; one that fails does not stop the others."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("host name", _host_name),
        ("orthanc", lambda: _orthanc(url, user, password_file)),
        ("clock", lambda: _clock(url, user, password_file)),
        ("plugin", lambda: _plugin(url, user, password_file)),
    ]
    try:
        loaded = settings.load()
    except DeidError as error:
        return [*(_run(name, check) for name, check in checks), Result("configuration", ok=False, detail=str(error))]
    checks += [
        ("configuration", lambda: _configuration(loaded)),
        ("secrets", lambda: _secrets(loaded)),
        ("database", lambda: _database(loaded)),
        ("keys", lambda: _keys(loaded)),
        ("disk", lambda: _disk(loaded)),
    ]
    for destination in loaded.configuration.destinations:
        checks.append(
            (
                f"to {destination.name}",
                lambda d=destination: _destination(d, _here(url, user, password_file)),  # type: ignore[misc]  # binds now
            )
        )
    for source in loaded.configuration.sources:
        checks.append((f"from {source.name}", lambda s=source: _source(s.name, url, user, password_file)))  # type: ignore[misc]  # binds now
    return [_run(name, check) for name, check in checks]


def _run(name: str, check: Callable[[], str]) -> Result:
    try:
        return Result(name, ok=True, detail=check())
    except click.ClickException as error:
        return Result(name, ok=False, detail=error.message)
    except DeidError as error:
        return Result(name, ok=False, detail=str(error))
    except ImportError as error:
        return Result(name, ok=False, detail=f"the library {error.name} is not installed: ./run setup")
    except (OSError, SQLAlchemyError) as error:
        return Result(name, ok=False, detail=type(error).__name__)


def _host_name() -> str:
    """Orthanc makes UIDs from the host's address: a name that needs DNS costs 80 ms an instance."""
    began = time.monotonic()
    try:
        socket.gethostbyname(socket.gethostname())
    except OSError:
        raise click.ClickException("the host's own name does not resolve: add it to /etc/hosts") from None
    seconds = time.monotonic() - began
    if seconds > SLOW_LOOKUP_S:
        raise click.ClickException(f"looking up the host's own name takes {seconds:.1f} s: add it to /etc/hosts")
    return f"own name resolves in {1000 * seconds:.0f} ms"


def _orthanc(url: str, user: str, password_file: Path | None) -> str:
    system = Server(url, user, read_password(password_file)).call("GET", "/system")
    return f"version {system['Version']}, API {system['ApiVersion']}"


def _clock(url: str, user: str, password_file: Path | None) -> str:
    """Workers and Orthanc compare times: next attempts, heartbeats, events."""
    now = Server(url, user, read_password(password_file)).text("/tools/now")
    # Orthanc writes 20261121T073000, in UTC.
    theirs = calendar.timegm(time.strptime(now.strip()[:15], "%Y%m%dT%H%M%S"))
    apart = abs(theirs - time.time())
    if apart > CLOCK_S:
        raise click.ClickException(f"Orthanc's clock and this machine's are {apart:.0f} s apart: synchronize them")
    return f"{apart:.0f} s apart from Orthanc's"


def _plugin(url: str, user: str, password_file: Path | None) -> str:
    health = Server(url, user, read_password(password_file)).call("GET", "/deid/health")
    wrong = [f"{name}: {found}" for name, found in health["checks"].items() if found != "ok"]
    if wrong:
        raise click.ClickException("; ".join(wrong))
    count = len(health["workers"])
    return f"version {health['version']}, {count} worker(s), {health['refused_on_arrival']} refused on arrival"


def _configuration(loaded: Settings) -> str:
    names = {project.profile for project in loaded.configuration.projects}
    for name in names:
        profiles.load(loaded, name)
    return f"{len(loaded.configuration.projects)} project(s), profile(s) {', '.join(sorted(names))}"


def _secrets(loaded: Settings) -> str:
    keyring = Keyring(loaded.home)
    if not (keyring.comes_from_outside or loaded.key_file.exists()):
        raise click.ClickException("ORTHANC_DEID_HOME holds no file `key`: is it the product's folder?")
    _ = keyring.master
    for file in (loaded.key_file, loaded.admin_password_file):
        if file.exists() and file.stat().st_mode & PRIVATE:
            raise click.ClickException(f"{file.name} can be read by others: chmod 600 it")
    return f"the master key is there: {keyring.source}"


def _keys(loaded: Settings) -> str:
    """Look at the folder itself, then compare it with what the database knows, where that can be asked."""
    keyring = Keyring(loaded.home)
    for name, mode in keyring.modes().items():
        if mode & PRIVATE and name != loaded.key_file.name:  # that one is among the secrets
            raise click.ClickException(f"{name} can be read by others: chmod {mode & ~PRIVATE:04o} it")
    try:
        _database(loaded)
    except (click.ClickException, DeidError):
        return "the folder of keys is closed to others; not compared with the database, which cannot be asked"
    engine = open_database(loaded.database_url)
    try:
        wrong = [each.detail for each in KeyStates(engine, keyring).projects(opening=True) if each.state == WRONG]
    finally:
        engine.dispose()
    if wrong:
        raise click.ClickException("; ".join(wrong))
    if not keyring.folder.is_dir():
        return "the folder of keys is not there yet: the first study makes it"
    return "the folder of keys is closed to others, and fits the database"


def _demand_file(loaded: Settings) -> None:
    """Refuse to open an SQLite file that is not there: opening would make it."""
    file = address(loaded.database_url).database or ""
    if loaded.database_url.startswith("sqlite") and not Path(file).exists():
        raise click.ClickException(
            "is not there yet (the first start makes it), or ORTHANC_DEID_HOME is another folder"
        )


def _database(loaded: Settings) -> str:
    _demand_file(loaded)
    engine = open_database(loaded.database_url)
    try:
        demand_current(engine)
    except SQLAlchemyError as error:
        raise click.ClickException(f"cannot be used ({type(error).__name__}): {DATABASE_HINT}") from None
    finally:
        engine.dispose()
    return f"{engine.dialect.name}, tables are of this version"


def _disk(loaded: Settings) -> str:
    if not loaded.home.is_dir():
        raise click.ClickException("the folder ORTHANC_DEID_HOME is not there yet: the first start makes it")
    told = [_free(loaded.home, "ORTHANC_DEID_HOME")]
    if loaded.results.is_dir() and loaded.results.stat().st_dev != loaded.home.stat().st_dev:
        told.append(_free(loaded.results, "the folder of results") + " for results")
    return ", ".join(told)


def _free(folder: Path, named: str) -> str:
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES:
        raise click.ClickException(f"{free // 2**20} MiB free in {named}")
    return f"{free / 2**30:.0f} GiB free"


def _here(url: str, user: str, password_file: Path | None) -> Orthanc:
    """Return our Orthanc, which some kinds send through; what is wrong with it is told by the check of its own."""
    try:
        return Orthanc(Address(url.rstrip("/"), basic(user, read_password(password_file))))
    except (click.ClickException, ValueError):
        return Orthanc(Address("http://127.0.0.1", None))


def _source(name: str, url: str, user: str, password_file: Path | None) -> str:
    """Have the product speak to a source: it is registered there, and its folders are mounted there."""
    found = Server(url, user, read_password(password_file)).call("POST", f"/deid/sources/{name}/check")
    if not found["ok"]:
        raise click.ClickException(found["detail"])
    return str(found["detail"])


def _destination(destination: settings.Destination, here: Orthanc) -> str:
    """Look for what its kind needs on this machine, then speak to it."""
    if destination.kind == "dicomweb" and destination.sent_by == "orthanc" and "dicom-web" not in here.get("/plugins"):
        raise click.ClickException(
            "this Orthanc has no DICOMweb plugin: install the package orthanc-dicomweb, or set sent_by: worker"
        )
    if destination.kind == "karnak" and destination.dicom:
        missing = [name for name in ("echoscu", "storescu") if not Path(DCMTK, name).exists()]
        if missing:
            raise click.ClickException(f"{missing[0]} is not there: install the package dcmtk")
    return destinations.connect(destination, here).check()
