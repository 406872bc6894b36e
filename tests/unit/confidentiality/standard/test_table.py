import csv
import io
import runpy
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from orthanc_deid.confidentiality.standard import generate_table, table, table_data
from orthanc_deid.confidentiality.standard.options import CODES, IMPLEMENTED, Option, code

PIXEL_OPTIONS = {Option.CLEAN_PIXEL_DATA, Option.CLEAN_VISUAL_FEATURES}

# Tag -> why our Basic letter is not the one of the newest module of dicom-anonymizer.
DIFFERENCES: dict[int, str] = {}

# Typed from PS3.15 Table E.1-1, the editions 2025a to 2025d; None: the cell is empty.
PRINTED: dict[Option, dict[int, str | None]] = {
    Option.UIDS: {
        0x00080018: "K", 0x0020000D: "K", 0x0020000E: "K", 0x00200052: "K", 0x00081155: "K", 0x00081140: "K",
        0x00181002: "K", 0x30060024: "K", 0x00081120: None, 0x00080050: None,
    },
    Option.DEVICE_IDENTITY: {
        0x00181000: "K", 0x00081010: "K", 0x00181002: "K", 0x00181200: "K", 0x00189371: "K", 0x00081000: "C",
        0x00080055: "C", 0x00400241: "C", 0x00080080: None,
    },
    Option.INSTITUTION_IDENTITY: {
        0x00080080: "K", 0x00080081: "K", 0x00080082: "K", 0x00081040: "K", 0x00081041: "K", 0x00120030: "K",
        0x00081010: None,
    },
    Option.PATIENT_CHARACTERISTICS: {
        0x00100040: "K", 0x00101010: "K", 0x00101020: "K", 0x00101030: "K", 0x00102160: "K", 0x001021A0: "K",
        0x001021C0: "K", 0x00102203: "K", 0x00102110: "C", 0x00380050: "C", 0x00380500: "C", 0x00400012: "C",
        0x00100010: None, 0x00102180: None,
    },
    Option.FULL_DATES: {
        0x00080020: "K", 0x00080022: "K", 0x00080030: "K", 0x0008002A: "K", 0x00080201: "K", 0x001021D0: "K",
        0x00340007: "K", 0x04000310: "K", 0x00100030: None, 0x00100032: None, 0x00160077: None,
    },
    Option.MODIFIED_DATES: {
        0x00080020: "C", 0x00080022: "C", 0x00080030: "C", 0x0008002A: "C", 0x00080201: "C", 0x001021D0: "C",
        0x00340007: "C", 0x04000310: "C", 0x00100030: None, 0x00100032: None, 0x00160077: None,
    },
    Option.CLEAN_DESCRIPTORS: {
        0x00081030: "C", 0x0008103E: "C", 0x00081080: "C", 0x00180010: "C", 0x00181030: "C", 0x00204000: "C",
        0x00104000: "C", 0x00400275: "C", 0x300A0002: "C", 0x00284000: None, 0x00100010: None,
    },
    Option.CLEAN_STRUCTURED_CONTENT: {
        0x00400555: "C", 0x00400610: "C", 0x0040A730: "C", 0x0040B020: "C", 0x00700001: None,
    },
    Option.CLEAN_GRAPHICS: {0x00700001: "C", 0x0040A730: None, 0x00880200: None, 0x00081140: None, 0x00204000: None},
}  # fmt: skip


def test_the_basic_column_has_every_row_of_2026c() -> None:
    letters = Counter(table.basic().values())
    assert letters == {
        "D": 93, "Z": 42, "X": 412, "U": 55, "Z/D": 6, "X/Z": 11, "X/D": 23, "X/Z/D": 8, "X/Z/U*": 2,
    }  # fmt: skip


def newest() -> dict[str, Any]:
    files = metadata.files("dicom-anonymizer") or []
    modules = [file for file in files if file.match("dicomfields_2*.py")]
    return runpy.run_path(str(max(modules, key=lambda file: file.name).locate()))


def test_the_basic_column_is_the_newest_one_of_dicom_anonymizer() -> None:
    module = newest()
    theirs = {
        tag[0] << 16 | tag[1]: letter
        for lists, letter in generate_table.LETTERS.items()
        for tag in module[lists]
        if len(tag) == 2
    }
    ours = table.basic()
    assert {tag for tag in theirs.keys() | ours.keys() if theirs.get(tag) != ours.get(tag)} == DIFFERENCES.keys()


def test_the_group_patterns_are_those_of_dicom_anonymizer() -> None:
    theirs = {tag for tag in newest()["X_TAGS"] if len(tag) == 4}
    assert {tuple(group[3:]) for group in table.groups()} - theirs == {(0x0001, 0x0000, 0x0001, 0x0000)}
    assert theirs <= {tuple(group[3:]) for group in table.groups()}


@pytest.mark.parametrize("option", PRINTED)
def test_an_option_has_the_letters_of_the_printed_table(option: Option) -> None:
    found = {tag: table.letters(tag).get(option) for tag in PRINTED[option]}
    assert found == PRINTED[option]


def test_every_option_with_a_column_is_looked_at() -> None:
    assert set(table_data.OPTIONS) == set(PRINTED) == set(Option) - PIXEL_OPTIONS - {Option.SAFE_PRIVATE}


@pytest.mark.parametrize("option", PIXEL_OPTIONS)
def test_an_option_about_pixels_changes_no_attribute(option: Option) -> None:
    assert not table.option(option)


@pytest.mark.parametrize("option", Option)
def test_what_an_option_names_has_a_basic_letter(option: Option) -> None:
    assert table.option(option).keys() <= table.basic().keys()


@pytest.mark.parametrize("option", Option)
def test_an_option_speaks_in_four_words(option: Option) -> None:
    assert set(table.option(option).values()) <= {"keep", "clean", "shift", "age"}


@pytest.mark.parametrize("option", sorted(IMPLEMENTED - PIXEL_OPTIONS))
def test_an_implemented_option_has_its_rows(option: Option) -> None:
    assert table.option(option) or any(group.option == option for group in table.groups())


def test_the_date_option_shifts_dates_keeps_times_and_cleans_timestamps() -> None:
    assert Counter(table.option(Option.MODIFIED_DATES).values()) == {"shift": 114, "keep": 53, "clean": 2}


def test_both_date_options_speak_about_the_same_attributes() -> None:
    assert table.option(Option.MODIFIED_DATES).keys() == table.option(Option.FULL_DATES).keys()


def test_every_correction_has_its_reason_and_stands_in_the_table() -> None:
    for (option, tag), (word, reason) in generate_table.CORRECTIONS.items():
        assert reason
        assert table.option(option).get(tag) == word


def test_the_rows_come_in_the_order_of_the_standards_tags() -> None:
    texts = [row.text for row in table.rows()]
    assert texts.index("4008,4000") < texts.index("50xx,xxxx") < texts.index("60xx,3000") < texts.index("FFFA,FFFA")
    assert texts[-1] == "odd,xxxx"
    assert len(texts) == len(set(texts)) == len(table.basic()) + 4


def test_a_row_tells_its_name_and_its_letters() -> None:
    rows = {row.text: row for row in table.rows()}
    assert rows["0018,1002"][2:] == ("DeviceUID", "U", {Option.UIDS: "K", Option.DEVICE_IDENTITY: "K"})
    assert rows["0010,0010"][:4] == (0x00100010, "0010,0010", "PatientName", "Z")
    assert rows["60xx,3000"] == (None, "60xx,3000", "OverlayData", "X", {Option.CLEAN_GRAPHICS: "C"})
    assert rows["odd,xxxx"].options == {Option.SAFE_PRIVATE: "C"}


def test_every_row_has_a_name() -> None:
    assert all(row.name for row in table.rows())


def test_rows_that_pydicom_does_not_know_have_their_vr() -> None:
    assert table.newer()[0x00100012] == ("LT", "NameToUse")
    assert table.newer().keys() <= table.basic().keys()


def test_a_row_without_a_known_option_is_told() -> None:
    assert sorted(table.ONLY_BASIC) == [0x0040E012]
    assert not any(table.letters(tag) for tag in table.ONLY_BASIC)


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        (0x50101234, "CurveData"), (0x60023000, "OverlayData"), (0x60FE4000, "OverlayComments"),
        (0x00191001, "PrivateAttributes"), (0x60020010, None), (0x00100010, None),
    ],
)  # fmt: skip
def test_a_group_covers_its_tags(tag: int, name: str | None) -> None:
    assert next((group.name for group in table.groups() if group.covers(tag)), None) == name


@pytest.mark.parametrize("tag", [0x00091001, 0x00090010, 0x50000010, 0x501E2500, 0x60003000, 0x60020022])
def test_private_curve_and_overlay_groups_are_removed_whole(tag: int) -> None:
    assert table.in_removed_group(tag)


@pytest.mark.parametrize("tag", [0x00100010, 0x7FE00010, 0x54000100])
def test_other_groups_are_not(tag: int) -> None:
    assert not table.in_removed_group(tag)


def test_every_option_of_the_standard_has_its_code() -> None:
    assert len(set(CODES.values())) == len(Option) == 12
    assert code(Option.CLEAN_PIXEL_DATA) == ("113101", "Clean Pixel Data Option")


def lists(**tags: str) -> str:
    """Answer a Basic module with the given lists, the groups and nothing else."""
    masks = "(0x5000, 0, 0xFF00, 0), (0x6000, 0x3000, 0xFF00, 0xFFFF), (0x6000, 0x4000, 0xFF00, 0xFFFF)"
    found = dict.fromkeys(generate_table.LETTERS, "") | {"X_TAGS": masks} | tags
    return "".join(f"{name} = [{text}]\n" for name, text in found.items())


def sheet(*rows: dict[str, str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["Group", "Element", "Name", "VR", *generate_table.COLUMNS], restval="")
    writer.writeheader()
    writer.writerows([{"Group": key[:4], "Element": key[4:], "Clean Graph. Opt.": "clean_manually"} for key in GROUPS])
    writer.writerows(rows)
    return text.getvalue()


GROUPS = ["50xxxxxx", "60xx3000", "60xx4000"]
DATE = {"Group": "0008", "Element": "002a", "Name": "Acquisition DateTime", "VR": "DT"}
SMALL = lists(Z_TAGS="(0x0008, 0x002A), (0x0010, 0x0012)")


def run(tmp_path: Path, text: str) -> dict[str, Any]:
    file = tmp_path / "data.py"
    file.write_text(text, encoding="utf-8")
    return runpy.run_path(str(file))


def test_the_generator_turns_cells_into_words(tmp_path: Path) -> None:
    name = {"Group": "0010", "Element": "0012", "Name": "Patient's Name to Use", "VR": "LT"}
    date = DATE | {
        "Rtn. Long. Modif. Dates Opt.": "func:generate_hmacdate_shift",
        "Rtn. Long. Full Dates Opt.": "keep",
        "Rtn. UIDs Opt.": "remove",
    }
    data = run(tmp_path, generate_table.generate(SMALL, sheet(date, name)))
    assert data["BASIC"]["Z"].split() == ["0008002A", "00100012"]
    assert data["OPTIONS"][Option.MODIFIED_DATES]["shift"].split() == ["0008002A"]
    assert data["OPTIONS"][Option.FULL_DATES]["keep"].split() == ["0008002A"]
    assert not data["OPTIONS"][Option.UIDS]
    assert data["NAMES"].split() == ["00100012", "LT", "PatientsNameToUse"]
    assert data["ONLY_BASIC"] == ""
    assert data["GROUPS"][1][:3] == ("60xx,3000", "OverlayData", Option.CLEAN_GRAPHICS)


def test_the_generator_writes_the_same_twice_whatever_the_order_of_the_rows() -> None:
    other = DATE | {"Element": "0020", "Name": "Study Date", "VR": "DA", "Rtn. Long. Full Dates Opt.": "keep"}
    basic = lists(Z_TAGS="(0x0008, 0x0020), (0x0008, 0x002A)")
    assert generate_table.generate(basic, sheet(DATE, other)) == generate_table.generate(basic, sheet(other, DATE))


def test_the_generator_writes_the_corrections(tmp_path: Path) -> None:
    data = run(tmp_path, generate_table.generate(SMALL, sheet(DATE, DATE | {"Group": "0010", "Element": "0012"})))
    assert data["OPTIONS"][Option.PATIENT_CHARACTERISTICS]["clean"].split() == ["00102110", "00380050", "00380500"]


def test_the_generator_lists_rows_that_only_the_basic_column_has(tmp_path: Path) -> None:
    basic = lists(Z_TAGS="(0x0008, 0x002A)", D_TAGS="(0x0040, 0xE012)")
    assert run(tmp_path, generate_table.generate(basic, sheet(DATE)))["ONLY_BASIC"] == "0040E012"


def test_the_generator_refuses_a_cell_nobody_has_judged() -> None:
    with pytest.raises(SystemExit, match="unknown cells"):
        generate_table.generate(SMALL, sheet(DATE | {"Rtn. UIDs Opt.": "func:new"}))


def test_the_generator_refuses_a_module_without_a_list() -> None:
    with pytest.raises(SystemExit, match="lists not found"):
        generate_table.generate("X_TAGS = []\n", sheet(DATE))


def test_the_generator_refuses_group_patterns_it_does_not_know() -> None:
    with pytest.raises(SystemExit, match="group patterns"):
        generate_table.generate(lists(X_TAGS="(0x7000, 0, 0xFF00, 0)"), sheet(DATE, DATE))
