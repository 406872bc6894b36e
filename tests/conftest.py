"""Fixtures for all tests; servers are real processes (servers.py)."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from databases import PostgresqlServer
from servers import OrthancServer
from sites import Site

# A shell that starts tests in the background has it ignored, and every process that they start too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

NewOrthanc = Callable[..., OrthancServer]


@pytest.hookimpl(trylast=True)  # after the order was shuffled
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process is left alone with one of them in the end."""
    items.sort(key=lambda item: item.path.parent.name != "system")


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


@pytest.fixture
def site(new_site: Callable[..., Site], database_url: str) -> Site:
    """Answer a running Site; a test that uses it runs on both databases."""
    return new_site(database_url=database_url).start()
