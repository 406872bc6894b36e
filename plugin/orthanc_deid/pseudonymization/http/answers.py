"""What of an answer is believed: it is JSON, of the right types, and a pseudonym that DICOM can hold."""

import json
from typing import Any

from ...errors import ConfigurationError, Rejected, Retriable
from ...web.answer import refusal
from ...web.session import Answer
from .. import fitting
from ..base import Asked, Given, Missing

NOT_KNOWN = "the pseudonym service does not know the patient"
_OK = (200, 201)
_NOTHING_THERE = 404
_LONGEST_ACCESSION = 16  # characters of SH, PS3.5 6.2


def demand(answer: Answer) -> Answer:
    """Return an answer of success; raise what any other means, which is told by its code alone."""
    if answer.status not in _OK:
        raise refusal(answer)
    return answer


def demand_service(answer: Answer) -> Answer:
    """Return the answer of a service whose addresses are known: where nothing is, the setting is wrong."""
    if answer.status == _NOTHING_THERE:
        raise ConfigurationError("it knows nothing of what is asked for (404): see url and what the preset names")
    return demand(answer)


def text_of(answer: Answer) -> str:
    """Return the text of a success.

    Raises
    ------
    Retriable
        It is larger than 1 MB or no text: what answers is not the service, a proxy's page for one.
    """
    demand(answer)
    if not answer.whole:
        raise Retriable("the answer is larger than 1 MB: that is not the service's")
    try:
        return answer.content.decode("utf-8")
    except UnicodeDecodeError:
        raise Retriable("the answer is not JSON: that is not the service's") from None


def json_of(answer: Answer) -> Any:  # noqa: ANN401  # JSON
    """Return the JSON of a success.

    Raises
    ------
    Retriable
        It is none: what answers is not the service.
    Rejected
        A key stands twice.
    """
    return parsed(text_of(answer))


def parsed(text: str) -> Any:  # noqa: ANN401  # JSON
    """Return what a JSON text holds; see `json_of`."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise Retriable("the answer is not JSON: that is not the service's") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise Rejected("a key stands twice in the answer: which of them is meant cannot be told")
    return dict(pairs)


def mapping(found: Any, what: str) -> dict[str, Any]:  # noqa: ANN401  # JSON
    """Return an object of an answer; raise Rejected for anything else."""
    if not isinstance(found, dict):
        raise Rejected(f"the pseudonym service's answer: {what} is no object")
    return found


def items(found: Any, what: str) -> list[dict[str, Any]]:  # noqa: ANN401  # JSON
    """Return a list of objects of an answer; raise Rejected for anything else."""
    if not isinstance(found, list):
        raise Rejected(f"the pseudonym service's answer: {what} is no list")
    return [mapping(each, what) for each in found]


def label(found: Any, what: str, longest: int = 0) -> str:  # noqa: ANN401  # JSON
    """Return a text that can stand in an output; raise Rejected for anything else, a number included."""
    if not isinstance(found, str):
        raise Rejected(f"the pseudonym service's answer holds no text as {what}")
    wrong = fitting.fault(found) or (f"is longer than {longest} characters" if longest and len(found) > longest else "")
    if wrong:
        raise Rejected(f"the {what} that the service gives {wrong}")
    return found


def accession(found: Any) -> str:  # noqa: ANN401  # JSON
    """Return what stands for an accession number; raise Rejected where it cannot."""
    return label(found, "accession number", _LONGEST_ACCESSION)


def days(found: Any) -> int | None:  # noqa: ANN401  # JSON
    """Return a shift in whole days, given as number or text; None for 0, which would leave dates as they are.

    Raises
    ------
    Rejected
        It is none, or over one hundred years.
    """
    text = str(found) if isinstance(found, int) and not isinstance(found, bool) else found
    if not isinstance(text, str):
        raise Rejected("the pseudonym service's answer holds no day shift: it is neither a number nor a text")
    try:
        return fitting.days(text)
    except ValueError as error:
        raise Rejected(f"the day shift that the service gives {error}") from None


def believed(asked: Asked, given: Given | Missing) -> Given | Missing:
    """Return an answer; Missing where it says who the patient is."""
    if isinstance(given, Missing):
        return given
    own = {_bare(asked.patient.patient_id), _bare(asked.read("AccessionNumber"))} - {""}
    for each in (given.pseudonym, given.subject, given.session, given.accession):
        if _bare(each) in own:
            return Missing("the pseudonym service gives back the PatientID or accession number itself")
    return given


def _bare(text: str) -> str:
    """Return an id without case and hyphens: so far some services change it."""
    return text.strip().casefold().replace("-", "")
