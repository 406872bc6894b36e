"""What the instances of one study have to do with each other, and what their profile decides for them."""

import io
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from objects import written
from servers import children, wait_for
from sites import DEID, Site
from studies import Person, ct_instance

SHIPPED = {
    "CT": "basic",
    "MR": "research",
    "PT": "research-full-dates",
    "NM": "research-keep-device",
    "US": "research-keep-uids",
}
OWN = {"MG": "going-on", "CR": "changing", "DX": "learning", "RF": "shifting"}
PROJECT = "  - {{{{name: {0}, match: {{{{modality: [{0}]}}}}, profile: {1}, destinations: [research]}}}}\n"
PROJECTS = "".join(PROJECT.format(modality, profile) for modality, profile in (SHIPPED | OWN).items())
GOING_ON = 'name: going-on\nversion: "1"\ntitle: T\nbased_on: research\ntext: {mode: known}\nrefused: instance\n'
LEARNING = GOING_ON.replace("going-on", "learning")
SHIFTING = 'name: shifting\nversion: "1"\ntitle: T\nbased_on: research\n'
CHANGING = 'name: changing\nversion: "1"\ntitle: T\nbased_on: research\ntext: {mode: known}\n'
KEEPING = CHANGING + "rules:\n  - {action: keep, match: AccessionNumber}\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    deid = DEID.replace(DEID[DEID.index("  - name: default") : DEID.index("destinations:\n")], PROJECTS)
    made = Site(tmp_path_factory.mktemp("site"), deid=deid.replace("reconcile_s: 2", "reconcile_s: 0.3"))
    profiles(made).mkdir()
    (profiles(made) / "going-on.yaml").write_text(GOING_ON)
    (profiles(made) / "learning.yaml").write_text(LEARNING)
    (profiles(made) / "shifting.yaml").write_text(SHIFTING)
    (profiles(made) / "changing.yaml").write_text(KEEPING)
    yield made.start()
    made.kill()


def profiles(site: Site) -> Path:
    return site.clinical.deid_file.parent / "profiles"


def image(person: Person, number: int, modality: str, **values: object) -> bytes:
    ds = pydicom.dcmread(io.BytesIO(ct_instance(person, number=number)))
    ds.Modality = modality
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return written(ds)


def arrived(site: Site, study: dict[str, str]) -> list[bytes]:
    ids = [each["ID"] for each in site.research.get(f"/studies/{study['output']}/instances").json()]
    return [site.research.get(f"/instances/{instance}/file").content for instance in ids]


def comments(files: list[bytes]) -> list[str]:
    return [str(ds.get("ImageComments")) for ds in map(read, files) if "ImageComments" in ds]


def read(file: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(file))


@pytest.mark.parametrize(("modality", "profile"), SHIPPED.items())
def test_a_study_goes_through_under_every_shipped_profile(site: Site, modality: str, profile: str) -> None:
    person = Person(100 + list(SHIPPED).index(modality))
    study = site.await_status(site.send([image(person, number, modality) for number in (1, 2)]), "done")
    files = arrived(site, study)
    assert len(files) == 2
    markers = set(person.markers) - ({"1.2.826.0.1.3680043.10.1337"} if profile == "research-keep-uids" else set())
    assert [marker for marker in markers for file in files if marker.encode() in file] == []
    assert {read(file).DeidentificationMethod[1].split()[0] for file in files} == {profile}
    dates = {read(file).StudyDate == "20200615" for file in files}
    assert dates == {profile == "research-full-dates"}


@pytest.mark.parametrize("telling", [1, 2, 3])
def test_a_name_that_one_instance_tells_is_gone_from_the_texts_of_all(site: Site, telling: int) -> None:
    person = Person(110 + telling)
    text = {"ImageComments": "Xanthippe Quuxworth, lung, 21.03.1971"}
    sent = [
        image(person, number, "MG", **(text | ({"OperatorsName": "Quuxworth^Xanthippe"} if number == telling else {})))
        for number in (1, 2, 3)
    ]
    files = arrived(site, site.await_status(site.send(sent), "done"))
    assert len(files) == 3
    assert all("lung" in comment for comment in comments(files))
    assert [file for file in files if b"anthippe" in file or b"uuxworth" in file] == []


def test_what_a_late_instance_tells_of_earlier_ones_needs_a_person_and_is_mended(site: Site) -> None:
    person = Person(120)
    source = site.send([image(person, 1, "MG", ImageComments="Xanthippe, lung"), image(person, 2, "MG")])
    first = site.await_status(source, "done")
    assert comments(arrived(site, first)) == ["Xanthippe, lung"]
    made = site.clinical.home / "results" / str(first["id"])
    output = site.clinical.get(f"/studies/{first['output']}/instances").json()[0]["ID"]
    assert site.clinical.get(f"/deid/instances/{output}/png", timeout=60).status_code == 200
    assert list(made.iterdir())
    site.send([image(person, 3, "MG", OperatorsName="Quuxworth^Xanthippe")])
    held = site.await_status(source, "quarantined", version=2)
    assert held["reason"].startswith("late instances tell what is left in 1 that were verified before")
    assert len(arrived(site, held)) == 2
    assert not made.exists()
    site.research.request("DELETE", f"/studies/{held['output']}")
    assert site.clinical.post(f"/deid/studies/{source}/retry").status_code == 202
    last = site.await_status(source, "done", version=2)
    files = arrived(site, last)
    assert [file for file in files if b"anthippe" in file] == []


def test_an_instance_that_is_refused_stays_inside_and_the_others_arrive(site: Site) -> None:
    person = Person(130)
    private = (b"1.2.840.10008.1.2.1\0", b"1.2.840.99999.1.2.1\0")
    sent = [image(person, 1, "MG"), image(person, 2, "MG", BurnedInAnnotation="YES"), image(person, 3, "MG")]
    sent.append(image(person, 4, "MG").replace(*private))
    study = site.await_status(site.send(reversed(sent)), "done")
    assert study["instances"] == {"received": 4, "deidentified": 2, "quarantined": 2}
    told = [e["reason"] for e in study["events"] if e["reason"]]
    assert any(reason.startswith("2 of 4 instances cannot be de-identified: ") for reason in told), told
    assert len(arrived(site, study)) == 2


def test_a_refused_instance_that_passes_later_is_verified_and_joins_the_others(site: Site) -> None:
    person = Person(133)
    source = site.send([image(person, 1, "DX"), image(person, 2, "DX", BurnedInAnnotation="YES")])
    assert len(arrived(site, site.await_status(source, "done"))) == 1
    (profiles(site) / "learning.yaml").write_text(LEARNING + "pixels: {burned_in: keep}\n")
    site.send([image(person, 3, "DX")])
    other = site.await_status(source, "failed", version=2)
    assert "1 instances at the destination are not those that were verified" in other["reason"]
    site.research.request("DELETE", f"/studies/{other['output']}")
    assert site.clinical.post(f"/deid/studies/{source}/retry").status_code == 202
    study = site.await_status(source, "done", version=2)
    assert study["instances"] == {"received": 3, "deidentified": 3, "quarantined": 0}
    assert {read(file).DeidentificationMethod[1].split()[2] for file in arrived(site, study)} == {
        study["profile"]["digest"]
    }


def test_a_study_is_refused_for_one_instance_where_the_profile_does_not_say_otherwise(site: Site) -> None:
    person = Person(131)
    sent = [image(person, 1, "CT"), image(person, 2, "CT", BurnedInAnnotation="YES")]
    study = site.await_status(site.send(sent), "quarantined")
    assert study["reason"].startswith("1 of 2 instances cannot be de-identified: it says that text is burned into")
    assert study["instances"]["quarantined"] == 1


def test_a_date_that_cannot_be_read_is_an_event_without_the_date(site: Site) -> None:
    sent = [image(Person(132), number, "MR").replace(b"20200615", b"Xanadu09") for number in (1, 2)]
    study = site.await_status(site.send(sent), "done")
    told = [e["reason"] for e in study["events"] if e["status"] == "deidentifying" and e["reason"]]
    assert any("times)" in reason for reason in told), study["events"]
    assert "Xanadu" not in str(study)
    assert "Xanadu" not in site.clinical.log()
    assert all(b"Xanadu" not in file for file in arrived(site, study))


def test_after_a_change_of_the_profile_a_retry_makes_the_whole_study_by_it(site: Site) -> None:
    person = Person(140)
    text = {"ImageComments": f"{person.AccessionNumber}, lung"}
    sent = [image(person, 1, "CR", **text), image(person, 2, "CR", BurnedInAnnotation="YES"), image(person, 3, "CR")]
    source = site.send(sent)
    site.await_status(source, "quarantined")
    (profiles(site) / "changing.yaml").write_text(CHANGING.replace('"1"', '"2"') + "pixels: {burned_in: keep}\n")
    assert site.clinical.post(f"/deid/studies/{source}/retry").status_code == 202
    files = arrived(site, site.await_status(source, "done"))
    assert {read(file).DeidentificationMethod[1].split()[1] for file in files} == {"2"}
    assert [file for file in files if person.AccessionNumber.encode() in file] == []
    assert ["lung" in comment for comment in comments(files)] == [True]


def test_real_dates_do_not_join_shifted_ones_after_a_change_of_the_profile(site: Site) -> None:
    person = Person(141)
    source = site.send([image(person, 1, "RF")])
    site.await_status(source, "done")
    real = SHIFTING.replace("research", "research-full-dates")
    (profiles(site) / "shifting.yaml").write_text(real)
    site.send([image(person, 2, "RF")])
    held = site.await_status(source, "quarantined", version=2)
    assert held["reason"] == "the profile leaves dates UNMODIFIED, those of what is stored already are MODIFIED"
    (profiles(site) / "shifting.yaml").write_text(SHIFTING)
    assert site.clinical.post(f"/deid/studies/{source}/retry").status_code == 202
    assert len(arrived(site, site.await_status(source, "done", version=2))) == 2


def test_a_worker_that_is_killed_in_its_first_look_leaves_nothing_that_was_cleaned_with_less(site: Site) -> None:
    person = Person(150)
    sent = [image(person, number, "MG", ImageComments="Xanthippe, lung") for number in range(2, 81)]
    source = site.send([image(person, 1, "MG", OperatorsName="Quuxworth^Xanthippe"), *sent])
    wait_for(lambda: site.study(source).get("instances", {}).get("deidentified", 0) >= 16, 30, "it is at work")
    for pid in children(site.clinical.pid):
        if b"orthanc_deid.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    files = arrived(site, site.await_status(source, "done"))
    assert len(files) == 80
    assert [file for file in files if b"anthippe" in file] == []


def test_what_a_first_look_left_in_a_text_stands_in_no_index_of_orthanc(site: Site) -> None:
    """Orthanc keeps the main attributes of study and series as the first instance that it stored had them."""
    person = Person(151)
    text = {"SeriesDescription": "lung of Xanthippe Quuxworth", "StudyDescription": "lung of Xanthippe Quuxworth"}
    sent = [
        image(person, number, "MG", OperatorsName="Quuxworth^Xanthippe" if number == 2 else "", **text)
        for number in (1, 2, 3)
    ]
    study = site.await_status(site.send(sent), "done")
    assert [read(file).SeriesDescription for file in arrived(site, study) if b"Quuxworth" in file] == []
    told = site.clinical.get(f"/studies/{study['output']}").text
    told += site.clinical.get(f"/studies/{study['output']}/series").text
    assert "Quuxworth" not in told
