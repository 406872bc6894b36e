"""Whether a stable study is complete, and what follows where it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..database.ledger import Study
    from .examine import Intake


@dataclass(frozen=True)
class Verdict:
    """`why_not`: it is not started, for this reason; `remark`: it is started all the same, with this warning."""

    why_not: str | None = None
    remark: str | None = None


def judge(intake: Intake, study: Study) -> Verdict:
    """Decide by the rule of its sender, its project or of intake whether a study may begin."""
    _ = intake, study
    return Verdict()
