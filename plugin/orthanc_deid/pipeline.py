"""The flow as one table: which steps a flow runs, on which queue, and what follows it.

Nothing waits inside a flow. A review will end `deidentify` after verify, and the approval will start `deliver`; a
destination that is down, paused or closed ends `export`, and a delayed next attempt is enqueued.
"""

from dataclasses import dataclass, replace

CPU, NET = "cpu", "net"
STUDY, ROW = "study", "row"
CONCURRENCY = 2  # of a destination or source that the configuration no longer names
PRIORITY = 5


@dataclass(frozen=True)
class Flow:
    """Steps that run one after the other, and the flow that follows when all went well."""

    queue: str
    steps: tuple[str, ...]
    then: str | None
    subject: str = STUDY


DEIDENTIFY, DELIVER, EXPORT, FINISH = "deidentify", "deliver", "export", "finish"
PULL = "pull"
FLOWS = {
    DEIDENTIFY: Flow(CPU, ("identify", "deidentify", "verify"), then=DELIVER),
    DELIVER: Flow(CPU, ("convert",), then=EXPORT),
    # One export for each destination; the last that is confirmed is followed by finish.
    EXPORT: Flow(NET, ("export", "confirm"), then=FINISH),
    FINISH: Flow(CPU, ("cleanup",), then=None),
    # One row of a batch: from an archive into Orthanc, where the studies begin by themselves.
    PULL: Flow(NET, ("find", "retrieve", "account"), then=None, subject=ROW),
}


@dataclass(frozen=True)
class Job:
    """One try of one flow for one version of one study: what stands in the queue, and nothing else does.

    Of a row: `study` is the number of the row, `version` that of its batch, `destination` the source's name.
    """

    flow: str
    study: int
    version: int
    run: int
    attempt: int = 1
    destination: str = ""
    waits: int = 0
    priority: int = PRIORITY

    @property
    def id(self) -> str:
        """The workflow's id: the same job enqueued twice runs once."""
        fields = [self.flow, self.destination, self.attempt]
        return self.prefix + ":".join(map(str, fields + [self.waits] * bool(self.waits)))

    @property
    def prefix(self) -> str:
        """What the ids of all jobs of this run begin with."""
        if self.subject == ROW:
            return f"{rows_of(self.version)}{self.study}:{self.run}:"
        return f"{self.study}:{self.version}:{self.run}:"

    @property
    def subject(self) -> str:
        """What the job is about: STUDY or ROW."""
        return FLOWS[self.flow].subject

    def exports_to(self, destination: str) -> str:
        """Return what the ids of this run's exports to a destination begin with."""
        return f"{self.prefix}{EXPORT}:{destination}:"

    def again(self) -> "Job":
        """Return the next try of the same."""
        return replace(self, attempt=self.attempt + 1)

    def later(self) -> "Job":
        """Return the same try, which has not begun: the destination was closed."""
        return replace(self, waits=self.waits + 1)

    def next(self, flow: str, destination: str = "") -> "Job":
        """Return the first try of what follows.

        `waits` stays: what was asked for while a run exports must not meet the ids that this run has used.
        """
        return replace(self, flow=flow, destination=destination, attempt=1)


def rows_of(batch: int | None = None) -> str:
    """Return what the ids of all jobs of a batch's rows begin with; without a number: those of all batches."""
    return f"{ROW}:" if batch is None else f"{ROW}:{batch}:"


def lane(concurrency: int) -> str:
    """Return the queue of the destinations that take so many studies at once."""
    return NET if concurrency == CONCURRENCY else f"{NET}-{concurrency}"


def backoff(attempt: int, first_s: float, most_s: float) -> float:
    """Return the seconds to wait after that many failed tries: doubling, with a bound."""
    return float(min(first_s * 2.0 ** min(attempt - 1, 30), most_s))
