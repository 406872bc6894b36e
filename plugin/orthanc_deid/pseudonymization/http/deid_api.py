"""The De-ID API (GPCR): a list of PatientIDs in one request; day shifts by the same request to another address.

Request `POST {url}`, header `Authorization: token ...`, body `{"project": "NAME", "PatientIDList": [{"PatientID":
"125"}]}`; answer `{"125": "P0001"}`; day shifts `POST {url}_shift`, answer `{"125": -5}`, values may be texts. The
answer may be a Python literal, with single quotes. Keys may carry `sub-`. Shapes: those that PACSMAN, its client, uses.
"""

import ast
from collections.abc import Sequence
from typing import Any

from ...errors import Rejected, Retriable
from ...settings.pseudonym_http import DeidApi, HttpPseudonyms
from ...web.session import Answer
from ..base import Asked, Given, Missing
from .answers import NOT_KNOWN, days, demand_service, label, mapping, parsed, text_of
from .client import Client

_PREFIX = "sub-"


class DeidApiService:
    """Asked for many patients at once; an id that the answer does not hold is missing."""

    per_study = False
    at_once = 500

    def __init__(self, settings: HttpPseudonyms, project: str) -> None:
        self._offsets, self._project = settings.offsets, project
        self._suffix = (settings.deid_api or DeidApi()).shift_suffix

    def ask(self, client: Client, asked: Sequence[Asked]) -> list[Given | Missing]:
        """Answer for each."""
        ids = list(dict.fromkeys(each.patient.patient_id.strip() for each in asked))
        body = {"project": self._project, "PatientIDList": [{"PatientID": each} for each in ids]}
        names = _answered(client.ask("", body))
        shifts = _answered(client.ask(self._suffix, body)) if self._offsets else None
        return [_given(each.patient.patient_id.strip(), names, shifts) for each in asked]


def _given(patient_id: str, names: dict[Any, Any], shifts: dict[Any, Any] | None) -> Given | Missing:
    try:
        name = _of(patient_id, names)
        shift = None if shifts is None else _of(patient_id, shifts)
        if name is None:
            return Missing(NOT_KNOWN)
        if shifts is not None and shift is None:
            return Missing("the pseudonym service gives a pseudonym and no day shift")
        return Given(label(name, "pseudonym"), None if shift is None else days(shift))
    except Rejected as error:
        return Missing(str(error))


def _of(patient_id: str, found: dict[Any, Any]) -> Any:  # noqa: ANN401  # JSON
    """Return what stands under an id, with or without sub-; None where nothing does."""
    keys = [key for key in (patient_id, _PREFIX + patient_id) if found.get(key) is not None]
    if len(keys) == 2 and found[keys[0]] != found[keys[1]]:  # noqa: PLR2004  # with and without
        raise Rejected("the pseudonym service says two things of one patient")
    return found[keys[0]] if keys else None


def _answered(answer: Answer) -> dict[str, Any]:
    demand_service(answer)
    text = text_of(answer)
    try:
        found = parsed(text)
    except Retriable:
        found = _literal(text)
    return {str(key): value for key, value in mapping(found, "all of it").items()}


def _literal(text: str) -> Any:  # noqa: ANN401  # a Python literal
    try:
        tree = ast.parse(text.strip(), mode="eval")
        found = ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise Retriable("the answer is not JSON: that is not the service's") from None
    if isinstance(tree.body, ast.Dict) and len({str(key) for key in found}) < len(tree.body.keys):
        raise Rejected("a key stands twice in the answer: which of them is meant cannot be told")
    return found
