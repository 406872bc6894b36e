"""Look-up, exports, forgetting, sealing and aliases, asked of the service without a server."""

import json
import shutil
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import insert, select, update

from orthanc_deid import states
from orthanc_deid.arrived import Arrived, Came
from orthanc_deid.batches import question
from orthanc_deid.batches.lists.table import Line
from orthanc_deid.confidentiality.pseudonyms import Patient, Pseudonyms
from orthanc_deid.database import batches, open_database
from orthanc_deid.database.crosswalk import Identity, Known, Mapped, Place
from orthanc_deid.database.crosswalk_tables import INSTANCE, SERIES, STUDY, crosswalk, crosswalk_project, metadata
from orthanc_deid.database.crosswalk_views import UIDS, CrosswalkViews
from orthanc_deid.database.intake_tables import batch_row
from orthanc_deid.database.origins import Origin
from orthanc_deid.database.tables import study
from orthanc_deid.errors import ConfigurationError, Conflict, NotFound
from orthanc_deid.keyring import Keyring
from orthanc_deid.orthanc_rest import Orthanc
from orthanc_deid.pacs.base import Found, Wanted
from orthanc_deid.pseudonymization import Asked as Question
from orthanc_deid.steps.subject import orthanc_id
from service_calls import Answer, Service

DEID = "projects: [{name: alpha}, {name: beta, pseudonyms: {kind: sequence}}]\naccess: {reidentify: [ada]}\n"
UID = "1.2.826.0.1.3680043.10.1337.1"
REASON = "incidental finding, ethics 12/26"
ZOE = Identity("HOSP", "MRN-770001")


class NoStudies:
    """An Orthanc that holds nothing."""

    def get(self, _path: str) -> Any:  # noqa: ANN401  # JSON
        raise NotFound("not here")

    study = get


class Asked(Service):
    """A service with two projects and a patient in each."""

    def __init__(self, folder: Path, database_url: str) -> None:
        super().__init__(folder, DEID, database_url)
        self.runtime.orthanc = cast("Orthanc", NoStudies())
        self.known = {name: self.add(name, ZOE, f"P-{name}", UID) for name in ("alpha", "beta")}

    def add(self, project: str, identity: Identity, pseudonym: str, uid: str) -> Known:
        known = self.runtime.crosswalk.assign(project, Known(0, identity, pseudonym))
        kinds = ((STUDY, uid), (SERIES, f"{uid}.1"), (INSTANCE, f"{uid}.1.1"))
        self.runtime.crosswalk.note(
            project, known, [Mapped(k, u, f"2.25.{known.row}{n}") for n, (k, u) in enumerate(kinds)]
        )
        return known

    def post(self, what: str, user: str = "ada", **body: Any) -> Answer:  # noqa: ANN401  # JSON
        return self.ask("POST", f"/deid/crosswalk/{what}", user=user.encode(), body=json.dumps(body).encode())

    def look(self, direction: str, *values: str, **more: Any) -> Any:  # noqa: ANN401  # JSON
        answer = self.post("lookup", direction=direction, values=values, **({"reason": REASON} | more))
        assert answer.status == 200, answer.body
        return answer.body["items"]

    def get(self, path: str, user: str = "ada", reason: str = REASON) -> Answer:
        return self.ask("GET", f"/deid/crosswalk{path}", user=user.encode(), headers={"Deid-Reason": reason.encode()})

    def ledger_study(self, status: str = states.DONE) -> int:
        """Add the patient's study to the ledger as one that is done in alpha."""
        source = orthanc_id(ZOE.patient_id, UID)
        number = self.runtime.ledger.add(source, "alpha").id
        values = {"status": status, "output": self.output, "version": 1, "verified_version": 1}
        with self.runtime.database.begin() as connection:
            connection.execute(update(study).where(study.c.id == number).values(**values))
        return number

    @property
    def output(self) -> str:
        return orthanc_id("P-alpha", f"2.25.{self.known['alpha'].row}0")

    def audited(self, what: str) -> list[Any]:
        return [json.loads(e.detail) | {"actor": e.actor} for e in self.runtime.audit.page(what=what, limit=1000)]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Asked]:
    made = Asked(tmp_path, "")
    yield made
    made.close()


@pytest.fixture
def on_both(tmp_path: Path, database_url: str) -> Iterator[Asked]:
    made = Asked(tmp_path, database_url)
    yield made
    made.close()


QUESTIONS: list[Callable[[Asked, str], Answer]] = [
    lambda s, u: s.post("lookup", u, direction="pseudonym", values=["P-alpha"], reason=REASON),
    lambda s, u: s.post("forget", u, project="alpha", pseudonym="P-alpha", reason=REASON),
    lambda s, u: s.post("seal", u, project="alpha", confirm="alpha", reason=REASON),
    lambda s, u: s.post("alias", u, old="a", new="b", reason=REASON),
    lambda s, u: s.get("/alpha/P-alpha", u),
    lambda s, u: s.get("/alpha/uid_mapping.csv", u),
    lambda s, u: s.get("/alpha/patid_mapping.csv", u),
    lambda s, u: s.get("/reasons", u),
]


def test_only_whom_the_configuration_names_may_ask(service: Asked) -> None:
    for user in ("operator", "", "unknown", "ADA"):
        for ask in QUESTIONS:
            answer = ask(service, user)
            assert answer.status == 403
            mend = "access.reidentify of deid.yaml" if user not in ("", "unknown") else "AuthenticationEnabled"
            assert mend in answer.body["detail"]
    refused = service.audited("refused")
    assert (len(refused), refused[-1]["role"], refused[-1]["actor"]) == (4 * len(QUESTIONS), "reidentify", "ADA")
    assert service.look("pseudonym", "P-alpha")[0]["found"]  # nothing was done


def test_a_pseudonym_is_looked_up_in_every_project(service: Asked) -> None:
    [found] = service.look("pseudonym", "p-alpha ")
    key = service.runtime.keyring.project("alpha")
    assert found == {
        "value": "p-alpha", "found": True, "derived": False, "kind": "patient", "project": "alpha",
        "original": ZOE.patient_id, "issuer": "HOSP", "replaced": "P-alpha", "patient": "P-alpha",
        "patient_id": ZOE.patient_id, "offset_days": Pseudonyms(key).offset_days(Patient("HOSP", ZOE.patient_id)),
    }  # fmt: skip


def test_a_patient_is_looked_up_by_his_number(service: Asked) -> None:
    for issuer in (None, "hosp"):
        found = service.look("original", "mrn-770001", issuer=issuer)
        assert [(each["project"], each["replaced"]) for each in found] == [("alpha", "P-alpha"), ("beta", "P-beta")]
    assert not service.look("original", ZOE.patient_id, issuer="")[0]["found"]


def test_many_values_are_answered_in_their_order(on_both: Asked) -> None:
    service = on_both
    found = service.look("original", f"{UID}.1.1", "nobody", UID, f"{UID}.1", project="alpha")
    assert [(each["found"], each["kind"]) for each in found] == [
        (True, "instance"), (False, None), (True, "study"), (True, "series"),
    ]  # fmt: skip
    assert service.look("original", UID, kind="series", project="alpha")[0]["derived"]


def test_a_uid_that_was_not_noted_is_made_of_the_key(service: Asked) -> None:
    [found] = service.look("original", "1.2.3.4", project="alpha")
    assert (found["found"], found["derived"]) == (False, True)
    assert found["replaced"] == Pseudonyms(service.runtime.keyring.project("alpha")).uid("1.2.3.4")
    assert not service.look("original", "1.2.3.4")[0]["derived"]


def test_the_audit_tells_who_asked_how_much_and_no_value(service: Asked) -> None:
    service.look("original", ZOE.patient_id, UID, project="alpha")
    [told] = service.audited("looked-up")
    assert (told["actor"], told["direction"], told["asked"], told["found"]) == ("ada", "original", 2, 2)
    everything = json.dumps([e.detail for e in service.runtime.audit.page(limit=1000)])
    assert not [marker for marker in (ZOE.patient_id, UID, "P-alpha", "ethics") if marker in everything]
    assert [(u["what"], u["reason"]) for u in service.get("/reasons").body["items"]] == [("looked-up", REASON)]


def test_a_reason_is_needed_that_does_not_name_whom_it_is_about(service: Asked) -> None:
    for reason in ("", "ab", "  x ", "x" * 501, f"because of {ZOE.patient_id.lower()}", "山" * 500):
        answer = service.post("lookup", direction="original", values=[ZOE.patient_id], reason=reason)
        assert answer.status == 422
        assert ZOE.patient_id.lower() not in json.dumps(answer.body).lower()
        assert service.get("/alpha/P-alpha", reason=reason[:2]).status == 422


def test_one_pseudonym_is_looked_up_by_its_address(service: Asked) -> None:
    answer = service.get("/alpha/P-alpha", reason="Rückfrage 山")
    assert answer.body["items"][0]["patient_id"] == ZOE.patient_id
    assert service.get("/reasons").body["items"][0]["reason"] == "Rückfrage 山"
    assert service.get("/alpha/P-beta").status == 404
    assert service.get("/gamma/P-alpha").status == 404


def test_the_mappings_are_as_scripts_read_them(service: Asked) -> None:
    row = service.known["alpha"].row
    patients, uids = service.get("/alpha/patid_mapping.csv"), service.get("/alpha/uid_mapping.csv")
    assert patients.body == f"id_old,id_new\n{ZOE.patient_id},P-alpha\n"
    assert uids.body == f"id_old,id_new\n{UID},2.25.{row}0\n{UID}.1,2.25.{row}1\n{UID}.1.1,2.25.{row}2\n"
    assert [told["rows"] for told in service.audited("exported-records")] == [1, 3]


def test_a_large_mapping_comes_in_parts(on_both: Asked) -> None:
    service = on_both
    refused = service.get("/alpha/uid_mapping.csv?count=2")
    assert refused.status == 422
    first = service.get("/alpha/uid_mapping.csv?after=0&count=2")
    target = first.headers["link"].partition(">")[0].removeprefix("</deid/crosswalk")
    rest = service.get(target)
    assert "link" not in rest.headers
    assert (first.body + rest.body).count("\n") == 4
    assert first.body + rest.body == service.get("/alpha/uid_mapping.csv").body


def test_the_rows_of_a_mapping_are_never_in_memory_together(tmp_path: Path) -> None:
    service = Asked(tmp_path, "")
    known = service.known["alpha"]
    for at in range(0, 30_000, 10_000):
        uids = (f"1.2.{number}" for number in range(at, at + 10_000))
        service.runtime.crosswalk.note("alpha", known, (Mapped(INSTANCE, uid, f"2.25.{uid[4:]}") for uid in uids))
    views = CrosswalkViews(service.runtime.database, service.runtime.keyring)
    rows, last = views.page("alpha", UIDS, 0, 200_000)
    tracemalloc.start()
    try:
        count = sum(1 for _ in views.pairs("alpha", UIDS, 0, last))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        service.close()
    assert (rows, count) == (30_003, 30_003)
    assert peak < 5 * 2**20  # all of them take ten times as much


def test_operators_see_counts(on_both: Asked) -> None:
    service = on_both
    [alpha, beta] = service.get("", user="operator").body["items"]
    assert alpha == {
        "project": "alpha", "source": "derived", "key": "here", "sealed_at": None,
        "counts": {"patient": 1, "study": 1, "series": 1, "instance": 1, "accession": 0, "alias": 0},
    }  # fmt: skip
    assert beta["source"] == "sequence"


def test_a_patient_is_forgotten_in_one_project(on_both: Asked) -> None:
    service = on_both
    number = service.ledger_study()
    service.add("alpha", Identity("", "MRN-2"), "P-2", f"{UID}2")
    conversion = service.runtime.settings.results / str(number) / "nifti-0"
    conversion.mkdir(parents=True)
    ways = ({"patient_id": "MRN-770001"}, {"patient_id": "MRN-770001", "issuer": "HOSP"}, {"pseudonym": "p-alpha"})
    for by in ways:
        dry = service.post("forget", project="alpha", reason=REASON, dry_run=True, **by).body
        assert (dry["mappings"], dry["studies"], dry["conversions"]) == (4, [number], 1)
    assert service.look("pseudonym", "P-alpha")[0]["found"]
    told = service.post("forget", project="alpha", reason=REASON, **by).body
    assert told | {"dry_run": True} == dry
    assert not conversion.exists()
    assert not service.look("pseudonym", "P-alpha")[0]["found"]
    assert [each["project"] for each in service.look("original", ZOE.patient_id)] == ["beta"]
    assert service.look("pseudonym", "P-2")[0]["found"]
    assert service.audited("forgotten")[0]["mappings"] == 4
    assert service.post("forget", project="alpha", reason=REASON, **by).status == 404


def test_who_came_in_by_the_door_and_waits_to_be_taken_up_is_forgotten_too(service: Asked) -> None:
    runtime = service.runtime
    came = Came(
        ZOE.issuer, ZOE.patient_id, "P-alpha", "", [("1.2.1", "2.25.1"), ("1.2.2", "2.25.2"), ("1.2.3", "2.25.3")]
    )
    door = Arrived(runtime.settings.arrived, runtime.keyring)
    door.note("alpha", came)
    assert service.post("forget", project="alpha", pseudonym="P-alpha", reason=REASON).body["mappings"] == 7
    runtime.take_up()
    assert not service.look("pseudonym", "P-alpha")[0]["found"]
    assert door.take(10) == []


@pytest.mark.parametrize("status", [states.DONE, states.REVIEW, states.EXPORTING])
def test_studies_of_who_is_forgotten_are_left_alone_for_ever(
    service: Asked, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orthanc_deid.service.erasing.PAUSE_S", 0)
    number = service.ledger_study(status)
    service.post("forget", project="alpha", pseudonym="P-alpha", reason=REASON)
    ledger = service.runtime.ledger
    found = ledger.get(number)
    assert (found.forgotten, found.output) == (1, None)
    assert found.status in (states.DONE, states.CANCELLED)
    with pytest.raises(Conflict, match="erased by request"):
        ledger.start(number, "alpha", ["research"])
    with pytest.raises(Conflict, match="erased by request"):
        ledger.deliver(number, ["research"], anew=True, reason="", actor="x")
    assert ledger.compare(number, ["new"], "x") == 0
    retried = service.ask("POST", f"/deid/studies/{found.address}/retry", user=b"operator")
    assert retried.status == 409
    events = service.ask("GET", f"/deid/studies/{found.address}").body["events"]
    assert events[-1]["reason"] == "its patient was erased by request"


@pytest.mark.parametrize("way", ["forget", "seal"])
def test_what_lists_say_of_his_studies_goes_too(service: Asked, way: str) -> None:
    runtime = service.runtime
    runtime.origins.note(UID, Origin(project="alpha", pseudonym="P-alpha", patient=ZOE.patient_id))
    line = Line(1, Wanted("study", {"PatientID": ZOE.patient_id}), "", "P-alpha", "", {})
    wanted = batches.Asked("pacs", "ada", project="alpha")
    batch = runtime.batches.create(wanted, [(1, question.close(runtime.seal, line))])
    (row,) = runtime.batches.rows(batch.id)
    runtime.batches.claim(row.id, row.run, [question.close_found(runtime.seal, Found(UID, patient_id=ZOE.patient_id))])
    refused = service.post("forget", project="alpha", pseudonym="P-alpha", reason=REASON)
    assert (refused.status, "a batch is fetching" in refused.body["detail"]) == (409, True)
    with runtime.database.begin() as connection:
        connection.execute(update(batch_row).values(state=states.ROW_DELIVERED))
    body = {"pseudonym": "P-alpha"} if way == "forget" else {"confirm": "alpha"}
    assert service.post(way, project="alpha", reason=REASON, **body).status == 200
    assert runtime.origins.find(UID) is None
    assert runtime.batches.rows(batch.id) == []


def test_a_patient_of_two_issuers_is_not_guessed(service: Asked) -> None:
    service.add("alpha", Identity("OTHER", ZOE.patient_id), "P-9", f"{UID}9")
    answer = service.post("forget", project="alpha", patient_id=ZOE.patient_id, reason=REASON)
    assert (answer.status, ZOE.patient_id in json.dumps(answer.body)) == (409, False)


def test_a_late_study_of_a_former_identity_gets_the_present_ones_name(on_both: Asked) -> None:
    service = on_both
    service.ledger_study()
    new = service.add("alpha", Identity("", "MRN-5"), "P-5", f"{UID}5")
    body = {"old": ZOE.patient_id, "old_issuer": "HOSP", "new": "MRN-5", "project": "alpha", "reason": REASON}
    [joined] = service.post("alias", **body).body["items"]
    assert joined == {"project": "alpha", "is_new": True, "studies": [1], "unknown": 0}
    assert not service.post("alias", **body).body["items"][0]["is_new"]
    late = service.runtime.crosswalk.patient("alpha", ZOE)
    assert late
    assert (late.row, late.pseudonym, late.identity.patient_id) == (new.row, "P-5", "MRN-5")
    names = {each["replaced"] for each in service.look("original", ZOE.patient_id, project="alpha", kind="patient")}
    assert names == {"P-5", "P-alpha"}  # what was delivered is found too
    told = service.post("forget", project="alpha", patient_id="MRN-5", reason=REASON).body
    assert (told["aliases"], told["mappings"]) == (1, 8)


def test_identities_that_go_round_in_a_circle_are_refused(service: Asked) -> None:
    def join(old: str, new: str) -> int:
        return service.post("alias", old=old, new=new, project="alpha", reason=REASON).status

    assert [join("a", "a"), join("a", "b"), join("b", "c"), join("c", "a"), join("a", "z")] == [422, 200, 200, 422, 409]
    chain = [join(f"n{number + 1}", f"n{number}") for number in range(9)]
    assert chain == [200] * 7 + [422, 200]
    assert service.get("").body["items"][0]["counts"]["alias"] == 10


def test_a_sealed_project_is_cut_off_for_ever(on_both: Asked, tmp_path: Path) -> None:
    service = on_both
    number = service.ledger_study()
    runtime = service.runtime
    before = runtime.keyring.project("alpha")
    asked = Question(Patient("HOSP", ZOE.patient_id), lambda _name: "")
    assert runtime.pseudonymizer.preview("alpha", [asked])
    with runtime.database.connect() as connection:
        backup = connection.execute(select(crosswalk)).all()
        backed = connection.execute(select(crosswalk_project)).all()
    assert service.post("seal", project="alpha", confirm="alhpa", reason=REASON).status == 409
    told = service.post("seal", project="alpha", confirm="alpha", reason=REASON).body
    assert [told[n] for n in ("complete", "key", "rows", "aliases", "studies", "unreadable")] == [
        True,
        False,
        0,
        0,
        0,
        True,
    ]
    assert runtime.ledger.get(number).output is None
    assert (
        service.post("lookup", direction="pseudonym", values=["P-alpha"], project="alpha", reason=REASON).status == 409
    )
    assert [each["project"] for each in service.look("original", ZOE.patient_id)] == ["beta"]
    with pytest.raises(ConfigurationError, match="sealed"):
        runtime.crosswalk.patient("alpha", ZOE)
    with pytest.raises(ConfigurationError, match="sealed"):  # the source that was made before has the key
        runtime.pseudonymizer.preview("alpha", [asked])
    assert service.get("").body["items"][0]["key"] == "sealed"
    assert service.post("seal", project="alpha", confirm="alpha", reason=REASON).body["complete"]
    _prove_unrecoverable(tmp_path, before, backed, backup)


def _prove_unrecoverable(home: Path, before: bytes, projects: Sequence[Any], rows: Sequence[Any]) -> None:
    """With all that is left in the home and a backup of the database: nothing opens, nothing can be made again."""
    copy = home / "copy"
    shutil.copytree(home, copy, ignore=shutil.ignore_patterns("copy"))
    for mark in (copy / "keys").glob("sealed-*"):
        mark.unlink()  # who tries will do that
    shutil.rmtree(copy / "known-keys", ignore_errors=True)
    keyring = Keyring(copy, {})
    again = keyring.project("alpha")
    assert again != before
    patient = Patient("HOSP", ZOE.patient_id)
    assert Pseudonyms(again).patient_id(patient) != Pseudonyms(before).patient_id(patient)
    assert Pseudonyms(again).uid(UID) != Pseudonyms(before).uid(UID)
    engine = open_database(f"sqlite:///{copy / 'backup.sqlite'}")
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(crosswalk_project), [row._mapping for row in projects])  # noqa: SLF001  # SQLAlchemy's API
        connection.execute(insert(crosswalk), [row._mapping for row in rows])  # noqa: SLF001  # SQLAlchemy's API
    with pytest.raises(ConfigurationError, match="another"):
        CrosswalkViews(engine, keyring).page("alpha", UIDS, 0, 1)
    with pytest.raises(ConfigurationError, match="does not open"):
        Place(keyring, "alpha", projects[0].id).open(rows[0])
    engine.dispose()
    left = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert ZOE.patient_id.encode() not in left


@pytest.mark.parametrize("killed_in", ["destroy_key", "erase", "end"])
def test_a_seal_that_was_killed_is_finished_by_the_next(
    service: Asked, killed_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(f"orthanc_deid.database.sealing.Sealing.{killed_in}", _die)
        answer = service.post("seal", project="alpha", confirm="alpha", reason=REASON)
        assert answer.status == 500
    with pytest.raises(ConfigurationError, match="sealed"):
        service.runtime.crosswalk.assign("alpha", Known(0, Identity("", "late"), "P-late"))
    told = service.post("seal", project="alpha", confirm="alpha", reason=REASON).body
    assert (told["complete"], told["key"], told["rows"]) == (True, False, 0)
    assert [each["action"] for each in service.audited("sealed")] == ["begin", "end"]


def _die(*_arguments: object) -> None:
    raise ConfigurationError("killed")
