from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from orthanc_deid.database import demand_current, migrate, open_database
from orthanc_deid.database.tables import metadata
from orthanc_deid.errors import ConfigurationError, Retriable


def test_the_migrations_make_the_tables_that_the_code_uses(database_url: str) -> None:
    engine = open_database(database_url)
    migrate(engine)
    migrate(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_a_worker_waits_for_tables_of_its_version(database_url: str) -> None:
    engine = open_database(database_url)
    with pytest.raises(Retriable, match="None"):
        demand_current(engine)
    migrate(engine)
    demand_current(engine)
    engine.dispose()


def test_the_sqlite_file_belongs_to_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "deid.sqlite"
    engine = open_database(f"sqlite:///{file}")
    migrate(engine)
    assert file.stat().st_mode & 0o077 == 0
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    engine.dispose()


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://"])
def test_another_database_is_refused_by_name_of_the_variable(url: str) -> None:
    with pytest.raises(ConfigurationError, match="ORTHANC_DEID_DATABASE_URL"):
        open_database(url)


def test_every_column_that_is_not_an_id_says_what_it_holds() -> None:
    silent = [
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if not column.comment and column.name not in ("id", "study_id", "version", "reason")
    ]
    assert silent == []
