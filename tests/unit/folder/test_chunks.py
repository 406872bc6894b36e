from collections.abc import Iterator
from contextlib import closing

import pytest

from orthanc_deid.folder.chunks import Job, each
from orthanc_deid.processes import Processes
from pool_work import die


@pytest.fixture
def pool() -> Iterator[Processes]:
    with closing(Processes(2)) as made:
        yield made


def test_a_child_that_dies_costs_only_the_file_it_died_of(pool: Processes) -> None:
    job: Job[int, int] = Job(die, lambda number: [number], lambda number: -number)
    assert sorted(each(pool, job, list(range(12)))) == sorted([-3, *(n for n in range(12) if n != 3)])
