from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from orthanc_deid.database import _alembic, demand_current, intake_tables, migrate, open_database  # noqa: F401
from orthanc_deid.database.crosswalk_tables import metadata
from orthanc_deid.database.ledger import Ledger
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


def test_studies_of_the_first_version_are_kept_and_their_end_is_known(database_url: str) -> None:
    engine = open_database(database_url)
    with engine.connect() as connection:
        config = _alembic(engine)
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for number, status in enumerate(("done", "exporting")):
            connection.execute(
                text(
                    "INSERT INTO study (source, project, status, version, verified_version, run, attempt, recheck,"
                    " created_at, updated_at) VALUES (:source, 'default', :status, 1, 1, 1, 1, 0, 10, 20)"
                ),
                {"source": f"s{number}", "status": status},
            )
        connection.commit()
    migrate(engine)
    found = Ledger(engine)
    studies = [found.find(source) for source in ("s0", "s1")]
    assert [(s.status, s.done_at, s.removed) for s in studies if s] == [("done", 20, 0), ("exporting", None, 0)]
    engine.dispose()
