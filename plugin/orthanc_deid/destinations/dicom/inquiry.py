"""What a DICOM node holds of a study, asked by C-FIND."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from .modality import CannotBeAskedError, Modality
from .sop_instances import SopInstance

MOST_NAMED = 50  # UIDs in one question


def instances(node: Modality, study: str, wanted: Sequence[SopInstance]) -> set[str]:
    """Return the wanted SOPInstanceUIDs that the node holds; none also where it answers nothing at this level.

    Raises
    ------
    CannotBeAskedError
        It refuses the question.
    """
    by_series: dict[str, set[str]] = defaultdict(set)
    for instance in wanted:
        by_series[instance.SeriesInstanceUID].add(instance.SOPInstanceUID)
    found: set[str] = set()
    for series, uids in by_series.items():
        here = uids & _uids(node, study, series, "")
        found |= here
        missing = sorted(uids - here)
        # A node may bound the number of its answers: what it did not name is asked for by name.
        for first in range(0, len(missing) if here else 0, MOST_NAMED):
            found |= uids & _uids(node, study, series, "\\".join(missing[first : first + MOST_NAMED]))
    return found


def _uids(node: Modality, study: str, series: str, wanted: str) -> set[str]:
    query = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": wanted}
    return {answer.get("SOPInstanceUID", "") for answer in node.find("Instance", query)}


def count(node: Modality, study: str, series: Iterable[str]) -> int:
    """Return how many instances the node says that it holds of a study, or of these series of it.

    Raises
    ------
    CannotBeAskedError
        It gives no number.
    """
    query = {"StudyInstanceUID": study, "NumberOfStudyRelatedInstances": ""}
    answers = [a for a in node.find("Study", query) if a.get("StudyInstanceUID") == study]
    if not answers:
        return 0
    if answers[0].get("NumberOfStudyRelatedInstances"):
        return _number(answers[0]["NumberOfStudyRelatedInstances"])
    query = {"StudyInstanceUID": study, "SeriesInstanceUID": "", "NumberOfSeriesRelatedInstances": ""}
    wanted = set(series)
    numbers = [
        a.get("NumberOfSeriesRelatedInstances", "")
        for a in node.find("Series", query)
        if a.get("SeriesInstanceUID") in wanted
    ]
    if not all(numbers):
        raise CannotBeAskedError("it counts no instances")
    return sum(map(_number, numbers))


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise CannotBeAskedError("it counts no instances") from None
