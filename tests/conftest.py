"""Fixtures for all tests; servers are real processes (servers.py)."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from databases import PostgresqlServer
from servers import OrthancServer
from sites import DEID, Site

SHARED = DEID.replace("reconcile_s: 2", "reconcile_s: 0.5")

# A shell that starts tests in the background has it ignored, and every process that they start too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

NewOrthanc = Callable[..., OrthancServer]
# By their seconds; one that begins last would keep a process busy when all others are through.
LONGEST = (
    "test_survival", "test_pull", "test_deletions", "test_conversions", "test_outbox", "test_staging", "test_demo",
    "test_one_study", "test_completeness", "test_intake", "test_arrival", "test_explorer_decisions", "test_conflicts",
    "test_flow", "test_reprocess",
)  # fmt: skip


@pytest.hookimpl(trylast=True)  # after the order was shuffled
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process is left alone with one of them in the end."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (item.path.parent.name != "system", places.get(item.path.stem, len(places))))


@pytest.fixture
def new_orthanc(tmp_path: Path) -> Iterator[NewOrthanc]:
    """Answer a function that makes an OrthancServer (not started); all end with the test."""
    made: list[OrthancServer] = []

    def make(**more: Any) -> OrthancServer:  # noqa: ANN401  # OrthancServer's own arguments
        made.append(OrthancServer(tmp_path / f"orthanc-{len(made)}", **more))
        return made[-1]

    yield make
    for server in made:
        server.kill()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """Answer a PostgreSQL cluster for the run."""
    server = PostgresqlServer()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Answer the URL of an empty database: every test that uses it runs on both engines."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'deid.sqlite'}"
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.new_database()


@pytest.fixture
def new_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Answer a function that makes a Site (not started); all end with the test."""
    made: list[Site] = []

    def make(**more: Any) -> Site:  # noqa: ANN401  # Site's own arguments
        made.append(Site(tmp_path / f"site-{len(made)}", **more))
        return made[-1]

    yield make
    for site in made:
        site.kill()


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Site]]:
    """Answer a function that gives the running Site of a database, the same to all tests of a module."""
    made: dict[str, Site] = {}

    def give(database: str) -> Site:
        if database not in made:
            server = request.getfixturevalue("postgresql") if database == "postgresql" else None
            url = server.new_database() if server else None
            made[database] = Site(tmp_path_factory.mktemp(database), database_url=url, deid=SHARED)
            made[database].start()
        return made[database]

    yield give
    for site in made.values():
        site.kill()


@pytest.fixture(params=["sqlite", "postgresql"])
def shared_site(request: pytest.FixtureRequest, sites: Callable[[str], Site]) -> Site:
    """Answer a running Site that other tests of the module use too: each has patients of its own."""
    return sites(request.param)


@pytest.fixture
def site(new_site: Callable[..., Site], database_url: str) -> Site:
    """Answer a running Site; a test that uses it runs on both databases."""
    return new_site(database_url=database_url).start()
