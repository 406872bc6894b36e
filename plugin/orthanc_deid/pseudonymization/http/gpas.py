"""gPAS (THS Greifswald): FHIR operation $pseudonymizeAllowCreate of its gateway.

Request `POST {url}/$pseudonymizeAllowCreate` with a Parameters resource: `target` (the domain), `original` once or more
(valueString). Answer: Parameters, a parameter `pseudonym` for each with the parts `target`, `original`, `pseudonym`
(valueIdentifier), a parameter `error` with `original` for who has none. 400, 401, 404 (unknown domain), 422 come with
an OperationOutcome. Source: TTP-FHIR Gateway implementation guide 2.2.0 and its repository mosaic-hgw/ttp-fhir-ig-gpas
(OperationDefinition-PseudonymizeAllowCreate, Parameters-*-response-example-1 and -2).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import Rejected
from ...settings.pseudonym_http import Gpas, HttpPseudonyms
from ...web.template import fill
from ..base import Asked, Given, Missing
from .answers import NOT_KNOWN, demand_service, items, json_of, label, mapping
from .client import Client
from .study_fields import study_fields

_FHIR = "application/fhir+json"


class GpasService:
    """Asked for many patients at once; an original that the answer does not hold is missing."""

    per_study = False
    at_once = 200

    def __init__(self, settings: HttpPseudonyms, project: str) -> None:
        self._own, self._project = settings.gpas or Gpas(domain=project), project

    def ask(self, client: Client, asked: Sequence[Asked]) -> list[Given | Missing]:
        """Answer for each."""
        originals = [fill(self._own.original, study_fields(each, self._project)) for each in asked]
        wanted = [{"name": "original", "valueString": each} for each in dict.fromkeys(originals)]
        body = {
            "resourceType": "Parameters",
            "parameter": [{"name": "target", "valueString": self._own.domain}, *wanted],
        }
        answer = demand_service(client.ask(f"/{self._own.operation}", body, media=_FHIR))
        found = self._pseudonyms(json_of(answer))
        return [_given(found.get(each, [])) for each in originals]

    def _pseudonyms(self, document: Any) -> Mapping[str, list[Any]]:  # noqa: ANN401  # JSON
        """Map each original to what the answer says is its pseudonym, of our domain alone."""
        parameters = mapping(document, "all of it")
        if parameters.get("resourceType") != "Parameters":
            raise Rejected("gPAS answers with another resource than Parameters")
        found: dict[str, list[Any]] = {}
        for each in items(parameters.get("parameter", []), "parameter"):
            if each.get("name") == "pseudonym":
                parts = {part.get("name"): _text(part) for part in items(each.get("part", []), "part")}
                if parts.get("target") == self._own.domain and isinstance(parts.get("original"), str):
                    found.setdefault(parts["original"], []).append(parts.get("pseudonym"))
        return found


def _given(found: Sequence[Any]) -> Given | Missing:
    if not found:
        return Missing(NOT_KNOWN)
    if any(each != found[0] for each in found):
        return Missing("gPAS gives a patient two pseudonyms: its domain is one of several to a patient")
    try:
        return Given(label(found[0], "pseudonym"))
    except Rejected as error:
        return Missing(str(error))


def _text(part: Mapping[str, Any]) -> Any:  # noqa: ANN401  # JSON
    identifier = part.get("valueIdentifier")
    return identifier.get("value") if isinstance(identifier, dict) else part.get("valueString")
