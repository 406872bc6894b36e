"""One database by URL, SQLite or PostgreSQL: opened, migrated, and written in transactions that cannot half happen."""

import os
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from ..errors import ConfigurationError, Retriable
from .audit import KEY, listen

ADVISORY_LOCK = 0x0DE1D  # PostgreSQL: only one process migrates at a time
WHICH_URL = "ORTHANC_DEID_DATABASE_URL: use sqlite:///<file> or postgresql://<user>@<host>/<name>"
ONLY_READS = "only_reads"  # execution option of an engine whose transactions wait for no writer, and write nothing
CONNECT_S = 10  # libpq waits for minutes by itself where a host does not answer


def address(url: str) -> URL:
    """Return the URL with our driver named; raise ConfigurationError for any other engine."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError(WHICH_URL) from None
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        return parsed
    raise ConfigurationError(WHICH_URL)


def open_database(url: str, audit_key: bytes = b"") -> Engine:
    """Open the database; an SQLite file is made where there is none, readable by its owner only.

    `audit_key`: of the audit's chain. What is opened without it writes records that the key tells from its own.
    """
    engine = _opened(url, {KEY: audit_key})
    listen(engine)
    return engine


def _opened(url: str, options: dict[str, bytes]) -> Engine:
    parsed = address(url)
    if parsed.get_backend_name() == "postgresql":
        return create_engine(
            parsed,
            pool_pre_ping=True,
            pool_size=5,
            hide_parameters=True,
            connect_args={"connect_timeout": CONNECT_S},
            execution_options=options,
        )
    _make_private_file(Path(parsed.database or ""))
    engine = create_engine(parsed, connect_args={"timeout": 30}, hide_parameters=True, execution_options=options)
    event.listen(engine, "connect", _sqlite_connect)
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def migrate(engine: Engine) -> None:
    """Bring the tables to this version's shape; safe when several processes start at once."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
        config = _alembic(engine)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def demand_current(engine: Engine) -> None:
    """Raise Retriable while the tables are not of this version's shape: the service migrates, workers wait."""
    expected = ScriptDirectory.from_config(_alembic(engine)).get_current_head()
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found != expected:
        raise Retriable(f"database is at revision {found}, this version needs {expected}")


def _alembic(engine: Engine) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["engine"] = engine
    return config


def _make_private_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _sqlite_connect(connection: object, _record: object) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]  # sqlite3: let SQLAlchemy say BEGIN
    cursor = connection.cursor()  # type: ignore[attr-defined]  # the DB-API's own
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_begin(connection: object) -> None:
    # A transaction that reads first and writes later would fail with "locked" instead of waiting.
    only_reads = connection.get_execution_options().get(ONLY_READS)  # type: ignore[attr-defined]  # sqlalchemy.Connection
    connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")  # type: ignore[attr-defined]
