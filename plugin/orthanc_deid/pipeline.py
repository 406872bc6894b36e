"""The flow as one table: which steps a flow runs, on which queue, and what follows it.

Nothing waits inside a flow. A review will end `deidentify` after verify, and the approval will start `deliver`, the
flow that convert belongs to; a destination that is down ends `export`, and a delayed next attempt is enqueued.
"""

from dataclasses import dataclass, replace

CPU, NET = "cpu", "net"


@dataclass(frozen=True)
class Flow:
    """Steps that run one after the other, and the flow that follows when all went well."""

    queue: str
    steps: tuple[str, ...]
    then: str | None


DEIDENTIFY, EXPORT, FINISH = "deidentify", "export", "finish"
FLOWS = {
    DEIDENTIFY: Flow(CPU, ("identify", "deidentify", "verify"), then=EXPORT),
    # One export for each destination; the last that is confirmed is followed by finish.
    EXPORT: Flow(NET, ("export", "confirm"), then=FINISH),
    FINISH: Flow(CPU, ("cleanup",), then=None),
}


@dataclass(frozen=True)
class Job:
    """One try of one flow for one version of one study: what stands in the queue, and nothing else does."""

    flow: str
    study: int
    version: int
    run: int
    attempt: int = 1
    destination: str = ""

    @property
    def id(self) -> str:
        """The workflow's id: the same job enqueued twice runs once."""
        return ":".join(map(str, (self.study, self.version, self.run, self.flow, self.destination, self.attempt)))

    @property
    def prefix(self) -> str:
        """What the ids of all jobs of this run begin with."""
        return f"{self.study}:{self.version}:{self.run}:"

    def again(self) -> "Job":
        """Return the next try of the same."""
        return replace(self, attempt=self.attempt + 1)

    def next(self, flow: str, destination: str = "") -> "Job":
        """Return the first try of what follows."""
        return replace(self, flow=flow, destination=destination, attempt=1)


def backoff(attempt: int, first_s: float, most_s: float) -> float:
    """Return the seconds to wait after that many failed tries: doubling, with a bound."""
    return float(min(first_s * 2.0 ** min(attempt - 1, 30), most_s))
