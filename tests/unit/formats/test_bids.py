"""BIDS trees: accepted by the validator, added to without doubling, and nothing is left out without a reason."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from made_series import converted
from orthanc_deid.errors import Rejected
from orthanc_deid.formats import bids, tables
from orthanc_deid.formats.bids import BidsSeries
from orthanc_deid.formats.bids_rules import BidsRules
from orthanc_deid.settings import bids as settings

FOLDER = Path(__file__).resolve().parents[3] / "orthanc-config/bids"
RULES = settings.rules(settings.Bids(), settings.template("default", [FOLDER]))
VALIDATOR = Path(sys.executable).with_name("bids-validator-deno")


def validated(tree: Path) -> list[dict[str, Any]]:
    """Return the validator's errors; it needs no network."""
    done = subprocess.run(
        [VALIDATOR, "--format", "json", tree], capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "PATH": f"{VALIDATOR.parent}:{os.environ['PATH']}", "NO_COLOR": "1", "http_proxy": "http://127.0.0.1:9"},
    )  # fmt: skip
    issues = json.loads(done.stdout)["issues"]["issues"]
    return [issue for issue in issues if issue["severity"] == "error"]


def everything(folder: Path) -> list[BidsSeries]:
    field_map: dict[str, Any] = {"RepetitionTime": 0.5}
    bold: dict[str, Any] = {"RepetitionTime": 2.0, "PhaseEncodingDirection": "j-", "TotalReadoutTime": 0.05}
    return [
        converted(folder, 1, "localizer"),
        converted(folder, 2, "t1_mprage_sag", EchoTime=0.003),
        converted(folder, 3, "t1_mprage_sag POST", EchoTime=0.003),
        converted(folder, 4, "t2_space_dark-fluid FLAIR"),
        converted(folder, 5, "T2 TSE ax"),
        converted(folder, 6, "ep2d_diff", volumes=7, bval=True, PhaseEncodingDirection="j", TotalReadoutTime=0.05),
        converted(folder, 7, "bold resting state", volumes=8, **bold),
        converted(folder, 8, "fmri task-motor", volumes=8, images=2, **bold),
        converted(folder, 9, "bold_rest_SBRef", **bold),
        converted(folder, 10, "gre_field_mapping", images=2, ImageType=["ORIGINAL", "PRIMARY", "M"], **field_map),
        converted(folder, 11, "gre_field_mapping", ImageType=["ORIGINAL", "PRIMARY", "P"], **field_map),
        converted(folder, 12, "se_fieldmap topup", PhaseEncodingDirection="j", TotalReadoutTime=0.05),
        converted(folder, 13, "SWI images", ImageType=["ORIGINAL", "PRIMARY", "M"]),
        converted(folder, 14, "SWI phase", ImageType=["ORIGINAL", "PRIMARY", "P"]),
        converted(folder, 15, "TOF 3D"),
        converted(folder, 16, "PD ax"),
        converted(folder, 17, "head", Modality="CT"),
        converted(folder, 18, "brain", Modality="PT"),
        converted(folder, 19, "pcasl", volumes=4),
        converted(folder, 20, "pcasl full", volumes=4, ArterialSpinLabelingType="PCASL", PostLabelingDelay=1.8,
                  BackgroundSuppression=False, M0Type="Absent", RepetitionTimePreparation=4.0, LabelingDuration=1.8,
                  MagneticFieldStrength=3, MRAcquisitionType="2D", EchoTime=0.01, SliceTiming=[0, 1, 2, 3, 3.1, 3.2],
                  FlipAngle=90, TotalAcquiredPairs=2),
        converted(folder, 21, "ep2d_diff_ADC", ImageType=["DERIVED", "PRIMARY", "ADC"]),
        converted(folder, 22, "something of its own"),
        converted(folder, 23, "t1_mprage_sag"),
    ]  # fmt: skip


def names(tree: Path) -> set[str]:
    return {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}


def images(tree: Path) -> set[str]:
    return {name for name in names(tree) if name.endswith(".nii.gz")}


def contents(tree: Path) -> dict[str, bytes]:
    return {name: (tree / name).read_bytes() for name in names(tree)}


def test_the_default_rules_make_a_dataset_that_the_validator_accepts(tmp_path: Path) -> None:
    made = bids.build(everything(tmp_path / "in"), tmp_path / "tree", RULES)
    s = "sub-DEID0001/ses-1"
    p = "sub-DEID0001_ses-1"
    assert images(made.path) == {
        f"{s}/anat/{p}_run-01_T1w.nii.gz",
        f"{s}/anat/{p}_run-02_T1w.nii.gz",
        f"{s}/anat/{p}_ce-gadolinium_T1w.nii.gz",
        f"{s}/anat/{p}_FLAIR.nii.gz",
        f"{s}/anat/{p}_T2w.nii.gz",
        f"{s}/anat/{p}_acq-swi_T2starw.nii.gz",
        f"{s}/anat/{p}_acq-swi_part-phase_T2starw.nii.gz",
        f"{s}/anat/{p}_angio.nii.gz",
        f"{s}/anat/{p}_PDw.nii.gz",
        f"{s}/dwi/{p}_dir-PA_dwi.nii.gz",
        f"{s}/func/{p}_task-rest_bold.nii.gz",
        f"{s}/func/{p}_task-motor_echo-1_bold.nii.gz",
        f"{s}/func/{p}_task-motor_echo-2_bold.nii.gz",
        f"{s}/func/{p}_task-rest_sbref.nii.gz",
        f"{s}/fmap/{p}_magnitude1.nii.gz",
        f"{s}/fmap/{p}_magnitude2.nii.gz",
        f"{s}/fmap/{p}_phasediff.nii.gz",
        f"{s}/fmap/{p}_dir-PA_epi.nii.gz",
        f"{s}/perf/{p}_asl.nii.gz",
        f"sourcedata/{s}/ct/{p}_ct.nii.gz",
        f"sourcedata/{s}/pet/{p}_pet.nii.gz",
        f"sourcedata/{s}/perf/{p}_asl.nii.gz",
        f"sourcedata/{s}/derived/{p}_diffusion.nii.gz",
    }
    assert {(left.number, left.reason) for left in made.unmatched} == {("1", "a localizer"), ("22", "no rule matches")}
    assert validated(made.path) == []


def test_the_validator_sees_what_is_wrong(tmp_path: Path) -> None:
    tree = bids.tree([converted(tmp_path, 2, "t1")], tmp_path / "tree", RULES)
    (tree / "sub-DEID0001/ses-1/anat/sub-DEID0001_ses-1_T9w.nii.gz").write_bytes(b"")
    assert validated(tree)


def test_the_tables_of_a_dataset(tmp_path: Path) -> None:
    tree = bids.tree([converted(tmp_path, 2, "t1"), converted(tmp_path, 3, "t2")], tmp_path / "tree", RULES)
    assert (tree / "participants.tsv").read_text() == "participant_id\tage\tsex\nsub-DEID0001\t34\tF\n"
    assert (tree / "sub-DEID0001/ses-1/sub-DEID0001_ses-1_scans.tsv").read_text() == (
        "filename\tacq_time\nanat/sub-DEID0001_ses-1_T1w.nii.gz\tn/a\nanat/sub-DEID0001_ses-1_T2w.nii.gz\tn/a\n"
    )
    description = json.loads((tree / "dataset_description.json").read_text())
    assert description["GeneratedBy"][0]["Name"] == "Orthanc De-ID"
    assert {"README", ".bidsignore", "participants.json"} <= names(tree)


def test_acquisition_times_are_written_only_where_they_are_asked_for(tmp_path: Path) -> None:
    one = converted(tmp_path, 2, "t1")
    rules = replace(RULES, acquisition_times=True)
    scans = "sub-DEID0001/ses-1/sub-DEID0001_ses-1_scans.tsv"
    assert "2001-02-03T04:05:06" not in (bids.tree([one], tmp_path / "a", RULES) / scans).read_text()
    assert "2001-02-03T04:05:06" in (bids.tree([one], tmp_path / "b", rules) / scans).read_text()


def test_what_no_rule_matches_goes_to_sourcedata_where_that_is_asked_for(tmp_path: Path) -> None:
    odd = [converted(tmp_path, 4, "odd"), converted(tmp_path, 5, "odder"), converted(tmp_path, 6, "scout")]
    made = bids.build([converted(tmp_path, 2, "t1"), *odd], tmp_path / "tree", replace(RULES, unmatched="sourcedata"))
    assert [left.reason for left in made.unmatched] == ["a localizer"]
    assert {name for name in images(made.path) if name.startswith("sourcedata")} == {
        f"sourcedata/sub-DEID0001/ses-1/unmatched/sub-DEID0001_ses-1_run-0{run}_unmatched.nii.gz" for run in (1, 2)
    }
    assert validated(made.path) == []


def test_a_tree_without_sessions(tmp_path: Path) -> None:
    tree = bids.tree([converted(tmp_path, 2, "t1", session="")], tmp_path / "tree", RULES)
    assert images(tree) == {"sub-DEID0001/anat/sub-DEID0001_T1w.nii.gz"}
    assert (tree / "sub-DEID0001/sub-DEID0001_scans.tsv").is_file()
    assert validated(tree) == []


def test_a_phase_difference_without_its_magnitudes_is_left_out(tmp_path: Path) -> None:
    phase = converted(tmp_path, 11, "gre_field_mapping", ImageType=["ORIGINAL", "PRIMARY", "P"])
    made = bids.build([converted(tmp_path, 2, "t1"), phase], tmp_path / "tree", RULES)
    assert [left.number for left in made.unmatched] == ["11"]
    assert len(images(made.path)) == 1


def test_a_later_session_and_another_patient_are_added(tmp_path: Path) -> None:
    tree = bids.tree([converted(tmp_path, 2, "t1")], tmp_path / "tree", RULES)
    (tree / "README").write_text("my own words\n")
    bids.tree([converted(tmp_path, 2, "t1", session="2")], tree, RULES)
    bids.tree([converted(tmp_path, 2, "t1", subject="DEID-0002")], tree, RULES)
    assert len(images(tree)) == 3
    assert [row["participant_id"] for row in tables.read(tree / "participants.tsv", ()).rows] == [
        "sub-DEID0001",
        "sub-DEID0002",
    ]
    assert (tree / "README").read_text() == "my own words\n"
    assert validated(tree) == []
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_same_series_again_change_nothing(tmp_path: Path) -> None:
    series = everything(tmp_path / "in")
    tree = bids.tree(series, tmp_path / "tree", RULES)
    before = contents(tree)
    bids.tree(series, tree, RULES)
    assert contents(tree) == before
    bids.tree(series[:5], tree, RULES)
    bids.tree(series[10:], tree, RULES)
    assert set(contents(tree)) == set(before)
    assert images(tree) == {name for name in before if name.endswith(".nii.gz")}


def test_a_late_series_of_a_taken_name_gets_the_next_run(tmp_path: Path) -> None:
    first, second, third = (converted(tmp_path, number, "t1 mprage") for number in (2, 3, 4))
    tree = bids.tree([first], tmp_path / "tree", RULES)
    for late in (second, second, third, first):
        bids.tree([late], tree, RULES)
    folder = "sub-DEID0001/ses-1/anat/sub-DEID0001_ses-1"
    assert images(tree) == {f"{folder}_T1w.nii.gz", f"{folder}_run-02_T1w.nii.gz", f"{folder}_run-03_T1w.nii.gz"}
    assert (tree / f"{folder}_run-02_T1w.nii.gz").read_bytes() == second.files[0].read_bytes()
    scans = tables.read(tree / "sub-DEID0001/ses-1/sub-DEID0001_ses-1_scans.tsv", ())
    assert len(scans.rows) == 3
    assert validated(tree) == []


def test_what_changed_is_replaced_under_its_name(tmp_path: Path) -> None:
    tree = bids.tree([converted(tmp_path / "a", 2, "t1", EchoTime=0.003)], tmp_path / "tree", RULES)
    bids.tree([converted(tmp_path / "b", 2, "t1", EchoTime=0.004)], tree, RULES)
    [sidecar] = [json.loads((tree / name).read_text()) for name in names(tree) if name.endswith("T1w.json")]
    assert sidecar["EchoTime"] == 0.004


def test_another_rule_for_the_same_series_leaves_no_second_file(tmp_path: Path) -> None:
    one = converted(tmp_path, 2, "t1 mprage")
    tree = bids.tree([one, converted(tmp_path, 3, "t2")], tmp_path / "tree", RULES)
    as_flair = replace(RULES.rules[0], when={"SeriesNumber": 2}, skip="", datatype="anat", suffix="FLAIR")
    bids.tree([one], tree, replace(RULES, rules=(as_flair, *RULES.rules)))
    assert {name.rsplit("_", 1)[1] for name in images(tree)} == {"FLAIR.nii.gz", "T2w.nii.gz"}
    scans = tables.read(tree / "sub-DEID0001/ses-1/sub-DEID0001_ses-1_scans.tsv", ())
    assert {row["filename"] for row in scans.rows} == {
        "anat/sub-DEID0001_ses-1_FLAIR.nii.gz",
        "anat/sub-DEID0001_ses-1_T2w.nii.gz",
    }
    assert validated(tree) == []


@pytest.mark.parametrize("at", ["participants.tsv", "T2w.json", "run-02_T1w.nii.gz", "scans.tsv"])
def test_a_merge_that_stopped_midway_is_finished_by_the_next(at: str, tmp_path: Path) -> None:
    """Take away what a killed merge would not have reached; the names were claimed before."""
    first, second = converted(tmp_path, 2, "t1"), [converted(tmp_path, 3, "t1"), converted(tmp_path, 4, "t2")]
    tree = bids.tree([first], tmp_path / "tree", RULES)
    bids.tree(second, tree, RULES)
    whole = contents(tree)
    [victim] = [name for name in whole if name.endswith(at)]
    (tree / victim).unlink()
    (tree / Path(victim).parent / ".left.tmp").write_text("half")
    bids.tree([first, *second] if "tsv" in at else second, tree, RULES)
    assert contents(tree) == whole


def test_two_patients_whose_labels_would_be_one_are_refused(tmp_path: Path) -> None:
    one, two = converted(tmp_path, 2, "t1", subject="A-1"), converted(tmp_path, 2, "t1", subject="A1")
    with pytest.raises(Rejected, match="one label"):
        bids.tree([one, two], tmp_path / "tree", RULES)
    tree = bids.tree([one], tmp_path / "tree", RULES)
    before = contents(tree)
    with pytest.raises(Rejected, match="one label"):
        bids.tree([two], tree, RULES)
    assert contents(tree) == before
    with pytest.raises(Rejected, match="no id"):
        bids.tree([converted(tmp_path, 2, "t1", subject="--")], tree, RULES)


def test_no_value_is_copied_that_no_rule_names(tmp_path: Path) -> None:
    marker = "Zyxwvut"
    one = converted(tmp_path, 2, f"t1 {marker}", key=f"1.2.{marker}")
    fields = {**one.fields, "StudyDescription": marker, "ReferringPhysicianName": marker, "ProtocolName": marker}
    tree = bids.tree([replace(one, fields=fields)], tmp_path / "tree", RULES)
    for name, data in contents(tree).items():
        assert marker not in name
        assert marker.encode() not in data


def test_an_age_above_89_is_not_told(tmp_path: Path) -> None:
    one = converted(tmp_path, 2, "t1")
    tree = bids.tree([replace(one, fields={**one.fields, "PatientAge": "093Y"})], tmp_path / "tree", RULES)
    assert "\t89\t" in (tree / "participants.tsv").read_text()


def test_columns_that_are_not_asked_for_are_not_there(tmp_path: Path) -> None:
    tree = bids.tree([converted(tmp_path, 2, "t1")], tmp_path / "tree", replace(RULES, participant_columns=()))
    assert (tree / "participants.tsv").read_text() == "participant_id\nsub-DEID0001\n"


def test_the_rules_are_plain_values() -> None:
    assert isinstance(RULES, BidsRules)
    assert shutil.which(VALIDATOR)
