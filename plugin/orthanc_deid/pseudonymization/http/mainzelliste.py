"""Mainzelliste: a session, a token that allows to add one patient, and the patient's identifying fields.

`POST {url}/sessions` -> `sessionId`; `POST {url}/sessions/{id}/tokens` with `{"type": "addPatient", "data": {"idtypes":
["pid"]}}` -> `id` (`tokenId` before 2.0); both with the header mainzellisteApiKey. `POST {url}/patients?tokenId=...`
with the fields as a form -> `[{"idType": "pid", "idString": "...", "tentative": false}]`; 409 where it is not sure
whether it knows the patient (we never send `sureness`, by which that would be overruled). Source: "Getting Started"
of mainzelliste.de, its interface documentation 3.1, and the API examples of imbei/mainzelliste-doc.
"""

import re
from collections.abc import Sequence
from typing import Any

from ...errors import Rejected
from ...settings.pseudonym_http import HttpPseudonyms, Mainzelliste
from ...web.session import Answer
from ...web.template import fill
from ..base import Asked, Given, Missing
from .answers import demand_service, items, json_of, label, mapping
from .client import Client
from .study_fields import study_fields

UNSURE = "Mainzelliste is not sure whether it knows the patient: decide it there, then try again"
_CONFLICT = 409
_NUMBER = re.compile(r"[A-Za-z0-9_-]{1,100}")


class MainzellisteService:
    """Asked for one patient after another, in one session."""

    per_study = False
    at_once = 1

    def __init__(self, settings: HttpPseudonyms, project: str) -> None:
        self._own, self._project = settings.mainzelliste or Mainzelliste(), project
        self._headers = {"Accept": "application/json", "mainzellisteApiVersion": self._own.api_version}

    def ask(self, client: Client, asked: Sequence[Asked]) -> list[Given | Missing]:
        """Answer for each."""
        return [self._one(client, each) for each in asked]

    def _one(self, client: Client, asked: Asked) -> Given | Missing:
        values = study_fields(asked, self._project)
        fields = {name: fill(text, values) for name, text in self._own.fields.items()}
        if not all(each.strip() for each in fields.values()):
            # With less than all, another patient could be taken for this one.
            return Missing("the study does not say all that Mainzelliste asks for: see mainzelliste.fields")
        token = self._token(client)
        answer = client.ask_form(f"/patients?tokenId={token}", fields, self._headers)
        return Missing(UNSURE) if answer.status == _CONFLICT else self._given(json_of(demand_service(answer)))

    def _token(self, client: Client) -> str:
        session = _number(client.ask("/sessions", {}, more=self._headers), "sessionId")
        body = {"type": "addPatient", "data": {"idtypes": [self._own.id_type]}}
        return _number(client.ask(f"/sessions/{session}/tokens", body, more=self._headers), "id", "tokenId")

    def _given(self, document: Any) -> Given | Missing:  # noqa: ANN401  # JSON
        found = [each for each in items(document, "all of it") if each.get("idType") == self._own.id_type]
        if len(found) != 1:
            return Missing("Mainzelliste's answer does not hold one id of the type that mainzelliste.id_type names")
        if found[0].get("tentative", False) is not False:
            return Missing(UNSURE)
        return Given(label(found[0].get("idString"), "pseudonym"))


def _number(answer: Answer, *names: str) -> str:
    """Return the id of a session or token, which becomes part of an address."""
    document = mapping(json_of(demand_service(answer)), "all of it")
    found = next((document[name] for name in names if name in document), None)
    if not isinstance(found, str) or not _NUMBER.fullmatch(found):
        raise Rejected("Mainzelliste's answer holds no id of a session or token")
    return found
