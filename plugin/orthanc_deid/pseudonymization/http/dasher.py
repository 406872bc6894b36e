"""DASHER: an entity for each patient, an item for each accession number; pseudonyms, jitter in days, tokens that end.

`POST {url}/v1/uid/{study in lower case}`, header `Authorization: Bearer <accessToken>`:
`{"identifiers": [{"id", "id_source", "id_timestamp", "custom_fields": [], "items": [the same]}]}` ->
`{"results": [{"id", "suid", "jitter", "items": [{"id", "suid", "jitter"}]}]}`. At most 1000 items an entity; ids match
^[A-Za-z0-9_-]*$. After 401: `POST token_uri {"refreshToken"}` -> new `accessToken`, `refreshToken`. Shapes: those that
its client, som, uses; neither names nor other fields of the patient are sent.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ConfigurationError, Rejected, Retriable
from ...settings.pseudonym_http import HttpPseudonyms
from ...web.answer import refusal
from ...web.session import Answer
from ..base import Asked, Given, Missing
from .answers import NOT_KNOWN, accession, days, demand_service, items, json_of, label, mapping
from .client import Client
from .study_fields import date_parts
from .token_file import TokenFile

MOST_ITEMS = 1000
DATES = ("StudyDate", "SeriesDate", "ContentDate", "AcquisitionDate")
_LOG_IN, _SUCCESS = 401, 200
_ID = re.compile(r"[A-Za-z0-9_-]+")

_Entity = tuple[str, str]  # the PatientID without hyphens and the day of birth
_Item = tuple[str, str]  # the accession number and its day


class DasherService:
    """Asked for each study: its item gives what stands for the accession number."""

    per_study = True
    at_once = MOST_ITEMS  # so that not even studies of one patient are more

    def __init__(self, settings: HttpPseudonyms, project: str) -> None:  # noqa: ARG002  # as every service is made
        if settings.dasher is None:
            raise ConfigurationError("dasher: is missing")
        self._own, self._offsets = settings.dasher, settings.offsets
        self._token = TokenFile(self._own.token_file)

    def ask(self, client: Client, asked: Sequence[Asked]) -> list[Given | Missing]:
        """Answer for each; what cannot be asked for is missing."""
        named = [_named(each) for each in asked]
        wanted: dict[_Entity, dict[_Item, None]] = {}
        for each in named:
            if not isinstance(each, Missing):
                entity, item = each
                wanted.setdefault(entity, {}).update({item: None} if item else {})
        found = self._results(client, wanted) if wanted else []
        return [each if isinstance(each, Missing) else self._given(*each, found) for each in named]

    def _results(self, client: Client, wanted: Mapping[_Entity, Mapping[_Item, None]]) -> list[dict[str, Any]]:
        identifiers = [
            _one(entity, self._own.id_source) | {"items": [_one(item, self._own.item_source) for item in of_it]}
            for entity, of_it in wanted.items()
        ]
        answer = self._proved(client, {"identifiers": identifiers})
        return items(mapping(json_of(demand_service(answer)), "all of it").get("results"), "results")

    def _proved(self, client: Client, body: Any) -> Answer:  # noqa: ANN401  # JSON
        """Ask with the token; once more with another where it is refused."""
        path, token = f"/v1/uid/{self._own.study.lower()}", self._token.access()
        answer = client.ask(path, body, more=_bearer(token))
        if answer.status == _LOG_IN:
            token = self._token.renewed(
                token, lambda url, refresh: _fetched(client.elsewhere(url, {"refreshToken": refresh})), client.timeout_s
            )
            answer = client.ask(path, body, more=_bearer(token))
        return answer

    def _given(self, entity: _Entity, item: _Item | None, results: Sequence[Mapping[str, Any]]) -> Given | Missing:
        try:
            own = _only(results, entity[0], self._own.id_source)
            part = _only(items(own.get("items", []), "items"), item[0], self._own.item_source) if item else None
            shift = _jitter(own, part) if self._offsets else None
            stands = accession(part.get("suid")) if part else ""
            return Given(label(own.get("suid"), "pseudonym"), shift, accession=stands)
        except Rejected as error:
            return Missing(str(error))


def _named(asked: Asked) -> tuple[_Entity, _Item | None] | Missing:
    """Return what a study is called there; an item only where it has an accession number."""
    mrn = asked.patient.patient_id.strip().replace("-", "")
    number = asked.read("AccessionNumber").strip()
    birth = _day(asked.read("PatientBirthDate"))
    day = next(filter(None, (_day(asked.read(name)) for name in DATES)), "")
    if not _ID.fullmatch(mrn) or (number and not _ID.fullmatch(number)):
        return Missing("DASHER takes letters, digits, _ and - alone: the PatientID or accession number holds others")
    if not birth or (number and not day):
        return Missing("DASHER asks for a day of birth and a day of the study: one is not there, or none")
    return (mrn, birth), ((number, day) if number else None)


def _day(value: str) -> str:
    """Return a date as DASHER takes it."""
    parts = date_parts(value)
    return "-".join(parts) + "T00:00:00Z" if all(parts) else ""


def _one(named: tuple[str, str], source: str) -> dict[str, Any]:
    return {"id": named[0], "id_source": source, "id_timestamp": named[1], "custom_fields": []}


def _only(found: Sequence[Mapping[str, Any]], name: str, source: str) -> Mapping[str, Any]:
    """Return the one result of that id; raise Rejected where there is none, or more than one."""
    own = [each for each in found if each.get("id") == name and each.get("id_source", source) == source]
    if not own:
        raise Rejected(NOT_KNOWN)
    if len(own) > 1:
        raise Rejected("DASHER says two things of one patient or study")
    return own[0]


def _jitter(own: Mapping[str, Any], part: Mapping[str, Any] | None) -> int | None:
    found = days(own.get("jitter"))
    if part is not None and days(part.get("jitter")) != found:
        raise Rejected("DASHER moves the dates of a patient and of his study by different days")
    return found


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _fetched(answer: Answer) -> Mapping[str, Any]:
    """Return what the token end point answers."""
    if answer.status != _SUCCESS:
        why = refusal(answer)
        if isinstance(why, Retriable):
            raise why
        raise ConfigurationError(f"it refuses to renew the token ({answer.status}): log in there, bring a new file")
    return mapping(json_of(answer), "the new token")
