from dataclasses import astuple

import pytest

from orthanc_deid import pipeline
from orthanc_deid.pipeline import DEIDENTIFY, DELIVER, EXPORT, FINISH, FLOWS, Job, backoff
from orthanc_deid.steps.perform import STEPS

JOB = Job(DEIDENTIFY, study=7, version=2, run=3)


def test_every_step_of_every_flow_exists_and_none_is_left_over() -> None:
    assert {step for flow in FLOWS.values() for step in flow.steps} == set(STEPS)


def test_the_flows_follow_each_other_to_an_end() -> None:
    seen: list[str] = []
    at: str | None = DEIDENTIFY
    while at is not None:
        assert at not in seen
        seen.append(at)
        at = FLOWS[at].then
    assert seen == [DEIDENTIFY, DELIVER, EXPORT, FINISH]


def test_verify_ends_the_flow_that_comes_before_the_export() -> None:
    assert FLOWS[DEIDENTIFY].steps[-1] == "verify"
    assert FLOWS[DEIDENTIFY].then == DELIVER
    assert FLOWS[DELIVER].then == EXPORT


def test_a_destination_that_hangs_cannot_hold_up_de_identification() -> None:
    assert FLOWS[EXPORT].queue == pipeline.NET
    assert {FLOWS[DEIDENTIFY].queue, FLOWS[FINISH].queue} == {pipeline.CPU}


def test_the_id_of_a_job_tells_it_apart_in_every_part() -> None:
    others = [
        JOB,
        JOB.again(),
        JOB.next(EXPORT, "a"),
        JOB.next(EXPORT, "b"),
        Job(DEIDENTIFY, 8, 2, 3),
        Job(DEIDENTIFY, 7, 3, 3),
        Job(DEIDENTIFY, 7, 2, 4),
    ]
    assert len({job.id for job in others}) == len(others)
    assert all(job.id.startswith(JOB.prefix) for job in others[:4])
    assert not any(job.id.startswith(JOB.prefix) for job in others[4:])


def test_the_prefix_of_study_1_does_not_fit_study_11() -> None:
    assert not Job(DEIDENTIFY, 11, 1, 1).id.startswith(Job(DEIDENTIFY, 1, 1, 1).prefix)


def test_a_job_survives_the_queue_and_its_next_flow_starts_at_the_first_attempt() -> None:
    assert Job(*astuple(JOB.again())) == JOB.again()
    assert (JOB.again().attempt, JOB.again().next(EXPORT, "a").attempt) == (2, 1)


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 5), (2, 10), (3, 20), (10, 2560), (11, 3600), (10_000, 3600)])
def test_the_wait_doubles_up_to_a_bound(attempt: int, seconds: float) -> None:
    assert backoff(attempt, 5, 3600) == seconds
