"""The durable engine: a thin wrapper around DBOS, the only module that imports it.

What enters the store is a `Job` and an outcome: our own numbers, states and delays, never an identity.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, TypedDict

import sqlalchemy
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer

from .database import address
from .pipeline import CONCURRENCY, CPU, FLOWS, NET, Job, lane

# A constant: DBOS would strand pending work whenever the code changes. A flow of another shape gets another name.
APPLICATION = "orthanc-deid"
APPLICATION_VERSION = "1"
WORKFLOW = "flow"
POLL_S = 0.5
PURGED_AT_ONCE = 1000
LIVE = ["ENQUEUED", "PENDING", "DELAYED"]
# Of one worker, on one queue of destinations; each destination has its own, smaller bound.
SENT_AT_ONCE = 16

# Destination to the studies that it takes at once.
Lanes = Mapping[str, int]
NO_LANES: Lanes = MappingProxyType({})


class Outcome(TypedDict):
    """What a step answers: whether its flow goes on, and jobs to enqueue after so many seconds."""

    go_on: bool
    follow: list[tuple[list[Any], float]]


GO_ON: Outcome = {"go_on": True, "follow": []}
END: Outcome = {"go_on": False, "follow": []}


def follow(jobs: Sequence[Job], delay_s: float = 0.0) -> Outcome:
    """Return the outcome that ends a flow and enqueues others."""
    return {"go_on": False, "follow": [(list(astuple(job)), delay_s) for job in jobs]}


Perform = Callable[[str, Job], Outcome]


def migrate(url: str) -> None:
    """Bring the engine's own tables to its version's shape."""
    DBOS.migrate(_dbos_url(url))


class Queue:
    """The enqueueing side, for the service: raises at once when the database is away."""

    def __init__(self, url: str, lanes: Lanes = NO_LANES) -> None:
        self._lanes = lanes
        self._client = DBOSClient(
            system_database_url=_dbos_url(url),
            application_name=APPLICATION,
            serializer=DBOSPortableJSONSerializer(),
            retry_connection_errors=False,
        )

    def enqueue(self, job: Job, delay_s: float = 0.0) -> None:
        """Enqueue a job; the same job a second time changes nothing."""
        self._client.enqueue(_options(job, delay_s, self._lanes), *astuple(job))

    def live(self, prefix: str) -> list[str]:
        """Return the ids of jobs with that prefix that wait or run."""
        found = self._client.list_workflows(status=LIVE, workflow_id_prefix=prefix, load_input=False, load_output=False)
        return [status.workflow_id for status in found]

    def cancel(self, prefix: str) -> None:
        """Cancel what waits or runs; a step that runs is asked to stop at its next look at the ledger."""
        for job in self.live(prefix):
            self._client.cancel_workflow(job)

    def hasten(self, prefix: str, wanted: Callable[[str], bool] = bool) -> int:
        """Start delayed jobs with that prefix now, those whose id is `wanted`; answer how many there were."""
        found = self._client.list_workflows(status=["DELAYED"], workflow_id_prefix=prefix, load_input=False)
        delayed = [status for status in found if wanted(status.workflow_id)]
        for status in delayed:
            self._client.resume_workflows([status.workflow_id], queue_name=str(status.queue_name))
        return len(delayed)

    def take_over(self, executor: str) -> int:
        """Give the running jobs of a dead worker to the others; answer how many there were."""
        stranded = self._client.list_workflows(status=["PENDING"], executor_id=executor, load_input=False)
        for status in stranded:
            self._client.resume_workflows([status.workflow_id], queue_name=str(status.queue_name))
        return len(stranded)

    def running(self) -> set[str]:
        """Return the executors that have running jobs to their name."""
        found = self._client.list_workflows(status=["PENDING"], load_input=False, load_output=False)
        return {str(status.executor_id) for status in found}

    def purge(self, before: float) -> int:
        """Delete the records of jobs that have ended and were made before that time (UTC seconds); answer how many.

        The ledger keeps what happened; without this the engine's tables grow by some 10 kB a study for ever.
        """
        ended = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
        until = datetime.fromtimestamp(before, UTC).isoformat()
        found = self._client.list_workflows(
            status=ended, end_time=until, limit=PURGED_AT_ONCE, load_input=False, load_output=False
        )
        if found:
            self._client.delete_workflows([status.workflow_id for status in found])
        return len(found)

    def close(self) -> None:
        """Give the connections back."""
        self._client.destroy()


def launch(url: str, executor: str, concurrency: int, perform: Perform, lanes: Lanes = NO_LANES) -> None:
    """Start to take jobs in this process; `perform(step, job)` runs in threads and may run twice after a kill.

    `concurrency` is the number of studies that this worker de-identifies or converts at once.
    """
    DBOS(
        config={
            "name": APPLICATION,
            "system_database_url": _dbos_url(url),
            "application_version": APPLICATION_VERSION,
            "executor_id": executor,
            "log_level": "WARNING",
            "max_executor_threads": 64,
            "serializer": DBOSPortableJSONSerializer(),
        }
    )

    def flow(*fields: Any) -> None:  # noqa: ANN401  # the fields of a Job, as JSON brought them
        job = Job(*fields)
        outcome = GO_ON
        for step in (*FLOWS[job.flow].steps, "follow"):
            outcome = DBOS.run_step({"name": step}, _step, perform, step, list(fields))
            if not outcome["go_on"]:
                break
        for next_fields, delay_s in outcome["follow"]:
            DBOS.enqueue_workflow_with_options(_options(Job(*next_fields), delay_s, lanes), *next_fields)

    DBOS.workflow(name=WORKFLOW, max_recovery_attempts=5)(flow)
    DBOS.launch()
    DBOS.register_queue(CPU, worker_concurrency=concurrency, polling_interval_sec=POLL_S, on_conflict="always_update")
    for name, at_once in _net_queues(lanes).items():
        DBOS.register_queue(
            name,
            worker_concurrency=SENT_AT_ONCE,
            polling_interval_sec=POLL_S,
            on_conflict="always_update",
            partition_concurrency=at_once,
        )


def _net_queues(lanes: Lanes) -> dict[str, int]:
    """Map the queues of destinations to their bounds, those of an earlier configuration that still hold jobs too."""
    queues = {lane(at_once): at_once for at_once in {CONCURRENCY, *lanes.values()}}
    for status in DBOS.list_workflows(status=LIVE, load_input=False, load_output=False):
        number = str(status.queue_name or "").removeprefix(f"{NET}-")
        if number.isdigit():
            queues[str(status.queue_name)] = int(number)
    return queues


def stop(seconds: int) -> None:
    """Take no more jobs and give running ones that long; what is not through is done again after the next start."""
    DBOS.destroy(workflow_completion_timeout_sec=seconds)


def _step(perform: Perform, step: str, fields: list[Any]) -> Outcome:
    return perform(step, Job(*fields))


def _options(job: Job, delay_s: float, lanes: Lanes) -> Any:  # noqa: ANN401  # dbos.EnqueueOptions is a TypedDict of two kinds
    queue = FLOWS[job.flow].queue
    # Unset would come before every other.
    options: dict[str, Any] = {"workflow_name": WORKFLOW, "workflow_id": job.id, "priority": max(1, job.priority)}
    if queue == NET:
        queue = lane(lanes.get(job.destination, CONCURRENCY))
        options["queue_partition_key"] = job.destination
    options["queue_name"] = queue
    if delay_s > 0:
        options["delay_seconds"] = delay_s
    return options


def _dbos_url(url: str) -> str:
    parsed: sqlalchemy.URL = address(url)
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql")
    return parsed.render_as_string(hide_password=False)
