"""Services of pseudonyms, as their documents describe requests and answers: each is the behaviour of an HttpServer.

De-ID API and DASHER: facts of the systems that are replaced. gPAS: TTP-FHIR Gateway 2.2.0, its operation definitions
and example resources. Mainzelliste: "Getting Started" of mainzelliste.de and the examples of imbei/mainzelliste-doc.
None of them is the real one. What a request must be is asserted by answering 400 to any other.
"""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from http_servers import Handler, Received

TOKEN = "t0ken-of-tests"  # of these tests alone


class DeidApi:
    """Knows the patients that it is told; answers in JSON, or as Python prints a dictionary."""

    path = "/deid/api"

    def __init__(self, known: dict[str, str], *, python: bool = False, prefix: str = "") -> None:
        self.known, self.python, self.prefix, self.token = known, python, prefix, TOKEN
        self.shifts: dict[str, Any] = {patient: -5 - number for number, patient in enumerate(known)}

    def __call__(self, handler: Handler, received: Received) -> None:
        if received.headers.get("authorization") != f"token {self.token}":
            handler.reply(401, b'{"detail": "Invalid token."}')
            return
        tables: dict[str, dict[str, Any]] = {self.path: self.known, f"{self.path}_shift": self.shifts}
        body = received.json()
        if received.path not in tables or set(body) != {"project", "PatientIDList"}:
            handler.reply(400)
            return
        table = tables[received.path]
        asked = [row["PatientID"] for row in body["PatientIDList"]]
        found = {self.prefix + each: table[each] for each in asked if each in table}
        handler.reply(200, (str(found) if self.python else json.dumps(found)).encode())


class Dasher:
    """Gives suids to whoever comes; its access tokens end when a test says so."""

    def __init__(self, study: str = "test-study") -> None:
        self.path = f"/v1/uid/{study}"
        self.valid, self.refresh = "access-1", "refresh-1"
        self.renewed = 0
        self.suids: dict[tuple[str, str], str] = {}
        self.jitter: Any = 5
        self.change: Callable[[dict[str, Any]], object] = lambda answer: answer

    def __call__(self, handler: Handler, received: Received) -> None:
        if received.path == "/token":
            self._renew(handler, received)
        elif received.headers.get("authorization") != f"Bearer {self.valid}":
            handler.reply(401, b'{"error": "token expired"}')
        elif received.path != self.path or not all(self._is_right(each) for each in received.json()["identifiers"]):
            handler.reply(400)
        else:
            answer = {"results": [self._entity(each) for each in received.json()["identifiers"]]}
            self.change(answer)
            handler.reply(200, json.dumps(answer).encode())

    def _renew(self, handler: Handler, received: Received) -> None:
        if received.json() != {"refreshToken": self.refresh} or "authorization" in received.headers:
            handler.reply(400, b'{"error": "invalid refresh token"}')
            return
        self.renewed += 1
        self.valid, self.refresh = f"access-{self.renewed + 1}", f"refresh-{self.renewed + 1}"
        handler.reply(200, json.dumps({"accessToken": self.valid, "refreshToken": self.refresh}).encode())

    def _is_right(self, entity: dict[str, Any]) -> bool:
        all_ = [entity, *entity["items"]]
        return (
            len(entity["items"]) <= 1000
            and "-" not in entity["id"]
            and all(re.fullmatch("^[A-Za-z0-9_-]*$", each["id"]) for each in all_)
            and all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", each["id_timestamp"]) for each in all_)
        )

    def _entity(self, asked: dict[str, Any]) -> dict[str, Any]:
        return self._one(asked) | {"custom_fields": [], "items": [self._one(each) for each in asked["items"]]}

    def _one(self, asked: dict[str, Any]) -> dict[str, Any]:
        key = (asked["id_source"], asked["id"])
        suid = self.suids.setdefault(key, f"{0x12FA + len(self.suids):x}")
        return {"id": asked["id"], "id_source": asked["id_source"], "suid": suid, "jitter": self.jitter,
                "jittered_timestamp": "1961-08-01T00:00:00-0700"}  # fmt: skip


class Gpas:
    """Gives pseudonyms in one domain; an unknown domain is 404 with an OperationOutcome."""

    path = "/ttp-fhir/fhir/gpas"

    def __init__(self, domain: str = "MIRACUM") -> None:
        self.domain = domain
        self.known: dict[str, str] = {}

    def __call__(self, handler: Handler, received: Received) -> None:
        body = received.json()
        told = [(each["name"], each["valueString"]) for each in body["parameter"]]
        creates = received.path == f"{self.path}/$pseudonymizeAllowCreate"
        is_fhir = received.headers["content-type"] == "application/fhir+json" and body["resourceType"] == "Parameters"
        if not (is_fhir and (creates or received.path == f"{self.path}/$pseudonymize")):
            handler.reply(400, b'{"resourceType": "OperationOutcome"}')
        elif ("target", self.domain) not in told:
            handler.reply(404, b'{"resourceType": "OperationOutcome"}')
        else:
            originals = [value for name, value in told if name == "original"]
            parameters = [self._parameter(each, creates=creates) for each in originals]
            answer = {"resourceType": "Parameters", "parameter": parameters}
            handler.reply(200, json.dumps(answer).encode(), {"Content-Type": "application/fhir+json"})

    def _parameter(self, original: str, *, creates: bool) -> dict[str, Any]:
        if creates:
            self.known.setdefault(original, f"mrcm_{len(self.known):08d}")
        if original not in self.known:
            code = {"system": "http://hl7.org/fhir/issue-type", "code": "not-found", "display": "Not Found"}
            parts = [_part("original", original), {"name": "error-code", "valueCoding": code}]
            return {"name": "error", "part": parts}
        told = {"target": self.domain, "original": original, "pseudonym": self.known[original]}
        return {"name": "pseudonym", "part": [_part(name, value) for name, value in told.items()]}


def _part(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "valueIdentifier": {"system": "https://ths-greifswald.de/gpas", "value": value}}


class Mainzelliste:
    """Sessions, tokens of one use, patients by their fields; who shares but a name is an unsure match."""

    path = "/mainzelliste"

    def __init__(self, key: str = "ml-key") -> None:
        self.key = key
        self.sessions: set[str] = set()
        self.tokens: set[str] = set()
        self.patients: dict[tuple[str, ...], str] = {}
        self.tentative = False

    def __call__(self, handler: Handler, received: Received) -> None:
        path, _, query = received.path.partition("?")
        if path == f"{self.path}/patients" and query.startswith("tokenId="):
            self._add(handler, received, query.removeprefix("tokenId="))
        elif received.headers.get("mainzellisteapikey") != self.key:
            handler.reply(401, b"Please supply your API key in HTTP header field 'mainzellisteApiKey'.")
        elif path == f"{self.path}/sessions":
            self.sessions.add(number := f"0f04d49e-{len(self.sessions)}")
            handler.reply(
                201, json.dumps({"sessionId": number, "uri": f"http://localhost/sessions/{number}/"}).encode()
            )
        elif path.split("/")[-2:-1] and path.split("/")[-2] in self.sessions and path.endswith("/tokens"):
            self.tokens.add(number := f"58c25ba9-{len(self.patients)}-{len(self.tokens)}")
            right = received.json() == {"type": "addPatient", "data": {"idtypes": ["pid"]}}
            answer = {"id": number, "type": "addPatient", "allowedUses": 1, "remainingUses": 1}
            handler.reply(201 if right else 400, json.dumps(answer).encode())
        else:
            handler.reply(404)

    def _add(self, handler: Handler, received: Received, token: str) -> None:
        fields = {name: values[0] for name, values in parse_qs(received.body.decode()).items()}
        names = ("vorname", "nachname", "geburtstag", "geburtsmonat", "geburtsjahr")
        if token not in self.tokens or set(fields) != set(names):
            handler.reply(401 if token not in self.tokens else 400)
            return
        self.tokens.discard(token)
        who = tuple(fields[name] for name in names)
        if who not in self.patients and any(known[:2] == who[:2] for known in self.patients):
            handler.reply(409, f"Unable to definitely determine whether {who[1]} is known".encode())
            return
        found = self.patients.setdefault(who, f"0003Y0W{len(self.patients)}")
        answer = [{"idType": "pid", "idString": found, "tentative": self.tentative, "uri": f"http://localhost/{found}"}]
        handler.reply(201, json.dumps(answer).encode())
