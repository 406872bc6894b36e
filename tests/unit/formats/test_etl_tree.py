"""The tree of image-deid-etl."""

import json
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_series import converted
from orthanc_deid.formats import etl_tree
from orthanc_deid.formats.etl_tree import EtlRules, EtlSeries, Place
from orthanc_deid.settings import etl

FILE = etl.template(Path(__file__).resolve().parents[3] / "orthanc-config/bids/etl/cbtn.yaml")
RULES = EtlRules(**{field.name: getattr(FILE, field.name) for field in fields(EtlRules)})
PLACE = Place("cbtn", "chop", "LGG_v2", "C0001", "1234d_B_brain_09h15m", "2.25.1")
MANY = {f"Key{number}": number for number in range(30)}
SESSION = "LGG_v2/C0001/1234d_B_brain_09h15m"


def series(folder: Path, number: int, description: str, modality: str = "MR", **values: Any) -> EtlSeries:  # noqa: ANN401  # JSON
    made = converted(folder, number, description, **{**MANY, **values})
    return EtlSeries(made.key, number, description, modality, made.files)


def names(tree: Path) -> set[str]:
    found = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
    return {name for name in found if not name.endswith("/.study")}


def test_series_stand_where_the_etl_puts_them(tmp_path: Path) -> None:
    made = [
        series(tmp_path / "in", 3, "T1 MPRAGE"),
        series(tmp_path / "in", 12, "Child's DTI/b1000", volumes=3, bval=True),
    ]
    out = tmp_path / "out"
    assert etl_tree.tree(made, PLACE, out, RULES).remarks == ()
    base = f"cbtn/chop/NIfTIs/{SESSION}"
    assert names(out) == {
        f"{base}/03 - T1 MPRAGE/T1 MPRAGE.nii.gz",
        f"{base}/03 - T1 MPRAGE/T1 MPRAGE.json",
        *(f"{base}/12 - Child_s DTI_b1000/Child_s DTI_b1000.{end}" for end in ("nii.gz", "json", "bval", "bvec")),
    }


def test_two_series_of_one_number_and_name_stay_two(tmp_path: Path) -> None:
    one, two = series(tmp_path / "in", 3, "T1"), series(tmp_path / "in", 4, "T1")
    out = tmp_path / "out"
    etl_tree.tree([one, replace(two, number=3)], PLACE, out, RULES)
    assert {name.split("/")[-2] for name in names(out)} == {"03 - T1", "03 - T1 (1)"}


def test_a_sidecar_gets_the_size_of_voxels_and_loses_what_names_the_place(tmp_path: Path) -> None:
    one = series(tmp_path / "in", 3, "T1", InstitutionName="here", StationName="there", EchoTime=0.1)
    [folder] = etl_tree.tree([one], PLACE, tmp_path / "out", RULES).folders
    sidecar = json.loads((folder / "03 - T1/T1.json").read_text())
    assert (sidecar["dim1"], sidecar["dim2"], sidecar["dim3"]) == (2.0, 2.0, 3.0)
    assert sidecar["EchoTime"] == 0.1
    assert not {"InstitutionName", "StationName"} & set(sidecar)


@pytest.mark.parametrize("description", ["Screen Save", "DOSE REPORT 1", "cover_image", "scan protocol"])
def test_series_are_dropped_by_their_description(description: str, tmp_path: Path) -> None:
    made = [series(tmp_path / "in", 3, "T1"), series(tmp_path / "in", 99, description)]
    result = etl_tree.tree(made, PLACE, tmp_path / "out", RULES)
    assert result.remarks == ("series 99: left out by its description",)
    assert {name.split("/")[-2] for name in names(tmp_path / "out")} == {"03 - T1"}


@pytest.mark.parametrize(
    ("description", "modality", "values", "where"),
    [
        ("T1", "MR", {"few": True}, "NIfTIs_short_json"),
        ("T1", "CT", {"few": True}, "NIfTIs"),
        ("ColFA", "MR", {"few": True}, "NIfTIs"),
        ("Perfusion_Weighted", "MR", {"few": True}, "NIfTIs"),
        ("T1", "MR", {"dtype": np.float32}, "NIfTIs_to_check"),
        ("T1 RGB", "MR", {"dtype": np.float32}, "NIfTIs"),
        ("Perfusion_Weighted", "MR", {"dtype": np.float32}, "NIfTIs_to_check"),
    ],
)
def test_what_is_odd_goes_to_a_tree_of_its_own(
    description: str, modality: str, values: dict[str, Any], where: str, tmp_path: Path
) -> None:
    few = values.pop("few", False) if (values := dict(values)) else False
    made = converted(tmp_path / "in", 3, description, **{**({} if few else MANY), **values})
    etl_tree.tree([EtlSeries(made.key, 3, description, modality, made.files)], PLACE, tmp_path / "out", RULES)
    assert {name.split("/")[2] for name in names(tmp_path / "out")} == {where}


@pytest.mark.parametrize(
    ("description", "folder"),
    [
        ("AX T2 2019-05-06 10:11:12 EDT", "03 - AX T2"),
        ("AX T2 EST", "03 - AX T2 EST"),
        ("../../etc", "03 - _.._etc"),
        ("", "03 - none"),
        ("x" * 300, "03 - " + "x" * 100),
    ],
)
def test_a_folder_is_named_safely(description: str, folder: str, tmp_path: Path) -> None:
    one = replace(series(tmp_path / "in", 3, "T1"), description=description)
    etl_tree.tree([one], PLACE, tmp_path / "out", RULES)
    assert {name.split("/")[-2] for name in names(tmp_path / "out")} == {folder}


def test_the_same_study_again_replaces_and_another_of_one_label_stays_apart(tmp_path: Path) -> None:
    out = tmp_path / "out"
    one, two = series(tmp_path / "in", 3, "T1"), series(tmp_path / "in", 4, "T2")
    etl_tree.tree([one], PLACE, out, RULES)
    etl_tree.tree([one, two], PLACE, out, RULES)
    assert len({name.split("/")[-2] for name in names(out)}) == 2
    other = replace(PLACE, study="2.25.2")
    etl_tree.tree([one], other, out, RULES)
    etl_tree.tree([one], other, out, RULES)
    assert sorted(path.name for path in (out / "cbtn/chop/NIfTIs/LGG_v2/C0001").iterdir()) == [
        "1234d_B_brain_09h15m",
        "1234d_B_brain_09h15m_2",
    ]
    assert asdict(PLACE)["study"] not in "".join(path.read_text() for path in out.rglob(".study"))
