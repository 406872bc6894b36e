"""Chunks of work through child processes, of which one may die: only the file that it died of is lost."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from ..errors import Retriable
from ..processes import Processes

ChunkT = TypeVar("ChunkT")
ResultT = TypeVar("ResultT")
CHUNK_S = 900.0  # without the end of any chunk
DIED = "the process that worked on it ended or took too long: too little memory?"


@dataclass(frozen=True)
class Job(Generic[ChunkT, ResultT]):
    """What a child does with a chunk, how to cut a chunk into single files, and the result of one it died of."""

    function: Callable[[ChunkT], ResultT]
    singles: Callable[[ChunkT], list[ChunkT]]
    died: Callable[[ChunkT], ResultT]


def each(pool: Processes, job: Job[ChunkT, ResultT], chunks: Sequence[ChunkT]) -> Iterator[ResultT]:
    """Yield the result of each chunk; where a child died, go through what was under way file by file."""
    waiting = dict(enumerate(chunks))
    while waiting:
        try:
            for number, result in pool.map(partial(_numbered, job.function), list(waiting.items()), CHUNK_S):
                del waiting[number]
                yield result
        except Retriable:
            for number in list(waiting)[: 2 * pool.count]:  # Processes.map has no more under way
                for single in job.singles(waiting.pop(number)):
                    yield _alone(pool, job, single)


def _alone(pool: Processes, job: Job[ChunkT, ResultT], single: ChunkT) -> ResultT:
    try:
        (result,) = pool.map(job.function, [single], CHUNK_S)
    except Retriable:
        return job.died(single)
    return result


def _numbered(function: Callable[[ChunkT], ResultT], chunk: tuple[int, ChunkT]) -> tuple[int, ResultT]:
    number, content = chunk
    return number, function(content)
