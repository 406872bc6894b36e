"""Outputs of an older profile are made anew everywhere, and the same profile makes the same bytes."""

import hashlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from click.testing import CliRunner, Result

from orthanc_deid.cli.commands import main
from servers import CHECKOUT, OrthancServer, children, wait_for
from sites import Site
from studies import Person, ct_instance, ct_study

FIRST = 'name: trial\nversion: "1"\ntitle: T\nbased_on: research\n'
SECOND = FIRST.replace('"1"', '"2"') + "rules:\n  - {action: remove, match: ImageType}\n"
DEID = """
projects:
  - {{name: trial, profile: trial, destinations: [research, keeper, share]}}
destinations:
  - {{name: research, kind: orthanc-peer, url: {url}, username: admin, password_file: {password_file}}}
  - {{name: keeper, kind: orthanc-peer, url: KEEPER, username: admin, password_file: KEY, required: false}}
  - {{name: share, kind: folder, path: SHARE}}
intake:
  reconcile_s: 0.3
limits:
  backoff_s: 1
"""


class Trial(Site):
    """A site whose research archive overwrites what it has; `keeper` is one that does not."""

    def __init__(self, folder: Path) -> None:
        self.keeper = OrthancServer(folder / "keeper", name="KEEPER")
        self.share = folder / "share"
        self.share.mkdir()
        deid = DEID.replace("KEEPER", self.keeper.url).replace("KEY", str(self.keeper.home / "admin-password"))
        super().__init__(folder, deid=deid.replace("SHARE", str(self.share)))
        self.research._configuration = {"OverwriteInstances": True}  # noqa: SLF001  # of a site's archive
        (self.clinical.deid_file.parent / "profiles").mkdir()
        self.set_profile(FIRST)

    def start(self) -> "Trial":
        """Start all three."""
        self.keeper.start()
        super().start()
        return self

    def kill(self) -> None:
        """End all three."""
        super().kill()
        self.keeper.kill()

    def set_profile(self, text: str) -> None:
        """Change the project's profile; each step reads it anew."""
        (self.clinical.deid_file.parent / "profiles" / "trial.yaml").write_text(text)

    def files(self, orthanc: OrthancServer, study: dict[str, Any]) -> dict[str, bytes]:
        """Return the files of a result in one of the Orthancs, by id."""
        ids = [one["ID"] for one in orthanc.get(f"/studies/{study['output']}/instances").json()]
        return {i: orthanc.get(f"/instances/{i}/file").content for i in ids}

    def shared(self, study: dict[str, Any]) -> set[bytes]:
        """Return the files of a result in the folder."""
        uid = self.clinical.get(f"/studies/{study['output']}").json()["MainDicomTags"]["StudyInstanceUID"]
        return {path.read_bytes() for path in self.share.rglob("*.dcm") if uid in str(path)}


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    made = Trial(tmp_path_factory.mktemp("trial"))
    yield made.start()
    made.kill()


@pytest.fixture
def site(shared_site: Trial) -> Trial:
    shared_site.set_profile(FIRST)
    return shared_site


def run(site: Site, *words: str) -> Result:
    server = ["--url", site.clinical.url, "--password-file", str(site.clinical.home / "admin-password")]
    return CliRunner().invoke(main, [*server, *words])


def versions(files: Iterator[bytes] | dict[str, bytes]) -> set[str]:
    every = files.values() if isinstance(files, dict) else files
    return {pydicom.dcmread(io.BytesIO(file)).DeidentificationMethod[1].split()[1] for file in every}


def folder_to_folder(site: Trial, files: list[bytes]) -> list[bytes]:
    """De-identify files without a server, by the same key and profile."""
    source, out = site.share.parent / "in", site.share.parent / "out"
    source.mkdir()
    for number, file in enumerate(files):
        (source / str(number)).write_bytes(file)
    environment = {
        "ORTHANC_DEID_HOME": str(site.clinical.home),
        "ORTHANC_DEID_CONFIG": str(site.clinical.deid_file),
        "PYTHONPATH": str(CHECKOUT / "plugin"),
    }
    words = [sys.executable, "-m", "orthanc_deid", "deidentify", str(source), str(out), "--project", "trial"]
    subprocess.run(words, env=os.environ | environment, timeout=60, check=True, capture_output=True)
    return [path.read_bytes() for path in out.rglob("*.dcm")]


def digests(files: dict[str, bytes]) -> dict[str, str]:
    return {i: hashlib.sha256(file).hexdigest() for i, file in files.items()}


def test_the_same_profile_makes_the_same_bytes_and_nothing_has_to_be_deleted_anywhere(site: Trial) -> None:
    source = site.send(ct_study(Person(1), 3))
    first = site.await_status(source, "done")
    assert (first["profile"]["name"], first["profile"]["version"]) == ("trial", "1")
    before = digests(site.files(site.clinical, first))
    answer = run(site, "reprocess", source, "--wait")
    assert (answer.exit_code, answer.output) == (0, f"{source}: done\n")
    second = site.study(source)
    assert (second["version"], second["output"]) == (2, first["output"])
    assert set(second["destinations"].values()) == {"confirmed"}
    for orthanc in (site.clinical, site.research, site.keeper):
        assert digests(site.files(orthanc, second)) == before
    assert {hashlib.sha256(file).hexdigest() for file in site.shared(second)} == set(before.values())
    assert {hashlib.sha256(file).hexdigest() for file in folder_to_folder(site, ct_study(Person(1), 3))} == set(
        before.values()
    )


def test_what_an_older_profile_made_is_found_and_made_anew_wherever_it_is(site: Trial) -> None:
    sources = [site.send(ct_study(Person(number), 3)) for number in (2, 3)]
    first = [site.await_status(source, "done") for source in sources]
    before = site.files(site.clinical, first[0])
    # Another test may have left a study whose sources are gone: it cannot be made anew.
    assert "\n0 are made anew, " in "\n" + run(site, "reprocess", "--older").output
    site.set_profile(SECOND)
    for instance in site.clinical.get(f"/studies/{sources[1]}/instances").json()[:1]:
        site.clinical.request("DELETE", f"/instances/{instance['ID']}").raise_for_status()
    wrong = run(site, "reprocess", "--profile-version", "1")
    assert "profiles of another version now: trial is 2" in wrong.output
    foreseen = run(site, "reprocess", "--older", "--dry-run").output
    assert "would be made anew, 1 cannot be" in foreseen
    assert site.study(sources[0])["version"] == 1
    done = run(site, "reprocess", "--profile", "trial", "--profile-version", "2")
    assert done.exit_code == 1
    assert "the sources of 1 of 3 instances are no longer in this Orthanc" in done.output
    study = site.await_status(sources[0], "done", version=2)
    assert study["profile"]["version"] == "2"
    assert study["destinations"] == {"research": "confirmed", "share": "confirmed", "keeper": "failed"}
    assert versions(site.files(site.clinical, study)) == versions(site.files(site.research, study)) == {"2"}
    assert versions(iter(site.shared(study))) == {"2"}
    assert len(site.shared(study)) == 3
    assert versions(site.files(site.keeper, study)) == {"1"}
    assert site.files(site.clinical, study).keys() == before.keys()
    listed = run(site, "studies", "--profile", study["profile"]["digest"], "--raw").output
    assert sources[0] in listed
    assert sources[1] not in listed
    site.keeper.request("DELETE", f"/studies/{study['output']}").raise_for_status()
    assert run(site, "destinations", "resend", "keeper").exit_code == 0
    wait_for(lambda: site.study(sources[0])["destinations"]["keeper"] == "confirmed", 30)
    assert versions(site.files(site.keeper, study)) == {"2"}


def test_late_instances_have_the_whole_study_made_by_the_profile_of_now(site: Trial) -> None:
    person = Person(4)
    source = site.send(ct_study(person, 2))
    site.await_status(source, "done")
    site.set_profile(SECOND)
    site.send([ct_instance(person, number=3)])
    study = site.await_status(source, "done", version=2)
    assert len(site.files(site.research, study)) == 3
    assert versions(site.files(site.research, study)) == {"2"}
    assert any("2 instances are made anew" in (e["reason"] or "") for e in study["events"])
    for instance in site.clinical.get(f"/studies/{source}/instances").json():
        site.clinical.request("DELETE", f"/instances/{instance['ID']}").raise_for_status()
    site.set_profile(SECOND.replace('"2"', '"3"'))
    site.send([ct_instance(person, number=4)])
    held = site.await_status(source, "quarantined", version=3)
    assert "the sources of 3 of them are no longer in this Orthanc" in held["reason"]
    assert versions(site.files(site.research, held)) == {"2"}


def test_killed_in_the_middle_all_of_a_study_is_of_one_profile_in_the_end(site: Trial) -> None:
    source = site.send(ct_study(Person(5), 20))
    site.await_status(source, "done")
    site.set_profile(SECOND)
    assert site.clinical.post(f"/deid/studies/{source}/reprocess").status_code == 202
    assert site.clinical.post(f"/deid/studies/{source}/reprocess").status_code == 409
    wait_for(lambda: site.study(source)["instances"]["deidentified"] >= 1, 30, "it is at work")
    for pid in children(site.clinical.pid):
        if b"orthanc_deid.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    study = site.await_status(source, "done", version=2, seconds=90)
    for orthanc in (site.clinical, site.research):
        assert len(site.files(orthanc, study)) == 20
        assert versions(site.files(orthanc, study)) == {"2"}
