"""Fixtures for all tests; servers are real processes (servers.py)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from servers import OrthancServer

NewOrthanc = Callable[..., OrthancServer]


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
