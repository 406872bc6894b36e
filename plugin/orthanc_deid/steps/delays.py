"""How long the next try of a job waits, with jitter: what failed or waited together must not meet again each time."""

import random

from .. import pipeline
from ..errors import Postponed
from ..pipeline import Job
from ..settings import Limits

_AWAY_FIRST_S, _AWAY_MOST_S = 7.5, 600.0


def after_failure(job: Job, limits: Limits, after_s: float) -> float:
    """Return the seconds until a job that has failed is tried again; `after_s`: that the other side asked for."""
    # Studies that failed together, by one child's death, say.
    delay_s = pipeline.backoff(job.attempt, limits.backoff_s, limits.backoff_most_s) * random.uniform(1, 1.3)  # noqa: S311
    return max(delay_s, after_s)


def while_away(job: Job, error: Postponed) -> float:
    """Return the seconds until a study asks again for what is away: more each time, since each leaves its traces."""
    delay_s = pipeline.backoff(job.waits + 1, _AWAY_FIRST_S, _AWAY_MOST_S)
    return max(delay_s, error.after_s) * random.uniform(1, 1.3)  # noqa: S311  # thousands may wait for the same


def until_open(error: Postponed) -> float:
    """Return the seconds until a job looks again that could not begin."""
    # What waited for the same window, say.
    return error.after_s + random.uniform(0, min(5, error.after_s))  # noqa: S311
