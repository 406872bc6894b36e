import zipfile
from pathlib import Path

import pytest
from pydicom._private_dict import private_dictionaries
from pydicom.valuerep import VR

from orthanc_deid.confidentiality.private import generate_private, lists, private_data
from orthanc_deid.confidentiality.private.lists import Safe
from orthanc_deid.errors import ConfigurationError

STANDARD, CONVERTER, TCIA = frozenset({"standard"}), frozenset({"converter"}), frozenset({"tcia"})
VRS = frozenset(VR)
ACTIONS = frozenset({"keep", "uid", "shift", "items"})
# Typed from PS3.15 Table E.3.10-1, one of each creator.
PRINTED = {
    ("SIEMENS MR HEADER", 0x0019, 0x0C): "IS",
    ("SIEMENS MR HEADER", 0x0019, 0x0E): "FD",
    ("GEMS_ACQU_01", 0x0019, 0x24): "DS",
    ("GEMS_PARM_01", 0x0043, 0x39): "IS",
    ("GEMS_HELIOS_01", 0x0045, 0x02): "FL",
    ("Philips Imaging DD 001", 0x2001, 0x03): "FL",
    ("Philips MR Imaging DD 001", 0x2005, 0x0E): "FL",
    ("Philips PET Private Group", 0x7053, 0x09): "DS",
    ("ELSCINT1", 0x01F1, 0x26): "DS",
}


@pytest.mark.parametrize(("key", "vr"), PRINTED.items())
def test_an_element_of_the_standards_list_stays_with_its_vr(key: tuple[str, int, int], vr: str) -> None:
    assert lists.lookup(*key, lists=STANDARD) == Safe(vr, "keep")


def test_the_lists_have_as_many_elements_as_their_source() -> None:
    def count(entries: dict[str, str]) -> int:
        return sum(
            len(word) == len("GGGGOO") and "/" not in word
            for text in entries.values()
            for word in text.replace(";", "").split()
        )

    assert count(private_data.STANDARD) == 87
    assert count(private_data.TCIA) == 2443 - 4  # four that TCIA hashes are no texts


def test_every_element_has_a_known_vr_and_action_and_stands_in_a_private_group() -> None:
    for entry in lists.listed(lists.LISTS):
        assert entry.safe.vr in VRS, entry
        assert entry.safe.action in ACTIONS | lists.BLOBS.keys(), entry
        assert entry.group & 1, entry
        assert 0 <= entry.offset <= 0xFF, entry
        assert (entry.safe.vr == "SQ") == (entry.safe.action == "items"), entry


@pytest.mark.parametrize("chosen", [STANDARD, CONVERTER])
def test_vrs_are_those_of_pydicoms_dictionary(chosen: frozenset[str]) -> None:
    differing = {
        (entry.creator, entry.group, entry.offset)
        for entry in lists.listed(chosen)
        if (known := private_dictionaries.get(entry.creator, {}).get(f"{entry.group:04X}xx{entry.offset:02X}"))
        and entry.safe.vr not in known[0].split(" ")
    }
    assert differing == set()


def test_a_uid_is_mapped_and_a_date_shifted_whatever_a_list_says() -> None:
    for entry in lists.listed(lists.LISTS):
        if entry.safe.vr == "UI":
            assert entry.safe.action == "uid", entry
        if entry.safe.vr in ("DA", "DT"):
            assert entry.safe.action == "shift", entry


@pytest.mark.parametrize(
    "key",
    [
        ("SIEMENS MEDCOM HEADER", 0x0029, 0x10),  # another block of the same group
        ("SIEMENS CSA HEADER", 0x0029, 0x40),
        ("SIEMENS CSA HEADER", 0x0019, 0x10),
        ("GEMS_IDEN_01", 0x0009, 0x02),
        ("GEMS_PARM_01", 0x0043, 0x28),  # Unique Image Identifier
        ("Philips Imaging DD 001", 0x2001, 0x20),
        ("", 0x0029, 0x10),
    ],
)
def test_an_element_that_no_list_holds_is_not_safe(key: tuple[str, int, int]) -> None:
    assert lists.lookup(*key, lists=STANDARD | CONVERTER) is None


def test_no_list_chosen_keeps_nothing() -> None:
    assert lists.lookup("SIEMENS MR HEADER", 0x0019, 0x0C, lists=frozenset()) is None


@pytest.mark.parametrize("creator", ["PHILIPS IMAGING DD 001", "Philips Imaging DD 001 ", "Philips Imaging DD 001\x00"])
def test_case_and_padding_of_a_creator_do_not_matter(creator: str) -> None:
    assert lists.lookup(creator, 0x2001, 0x03, lists=STANDARD) == Safe("FL", "keep")


def test_tcias_list_gives_uids_and_dates_an_action_of_their_own() -> None:
    assert lists.lookup("GEMS_PARM_01", 0x0043, 0x98, lists=TCIA) == Safe("UI", "uid")
    assert lists.lookup("SIEMENS MED PT", 0x0071, 0x22, lists=TCIA) == Safe("DT", "shift")
    assert lists.lookup("Philips MR Imaging DD 001", 0x2005, 0x84, lists=TCIA) == Safe("SQ", "items")


def test_the_converters_action_wins_over_tcias() -> None:
    assert lists.lookup("GEMS_PARM_01", 0x0043, 0x2A, lists=TCIA | CONVERTER) == Safe("OB", "ge-user-data")


def test_creators_are_spelled_as_in_the_lists() -> None:
    assert "Philips Imaging DD 001" in lists.creators(STANDARD)
    assert "SIEMENS CSA HEADER" not in lists.creators(STANDARD)
    assert "SIEMENS CSA HEADER" in lists.creators(CONVERTER)


def test_an_unknown_list_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(ConfigurationError, match=r"named mine: use converter, standard, tcia"):
        lists.lookup("X", 1, 1, lists=frozenset({"mine"}))


def test_the_generator_knows_parents_and_vrs_better_than_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = (
        "Group,Element,Private Creator,VR,VM,Meaning,Rtn. Safe Priv. Opt.,IsInDICOMRetainSafePrivateTags,"
        "TCIA element_sig_pattern"
    )
    rows = [
        header,
        '0019,xx0c,SIEMENS MR HEADER,IS,1,B Value,keep,True,"(0019,xx0c)"',
        '0019,xx0a,SIEMENS MR HEADER,OB,,Images,keep,False,"(0019,xx0a)"',  # pydicom knows better: US
        '0099,xx01,Maker,OB,,Unknown,keep,False,"(0099,xx01)"',
        '0099,xx02,Maker,UI,1,Version,keep,False,"(0099,xx02)"',
        '0099,xx03,Maker,UL,,Count,func:generate_hmacuid,False,"(0099,xx03)"',
        '0099,xx04,Maker,OB,,Parent,keep,False,"(0099,xx04)"',
        '0099,xx05,Maker,DT,,When,func:generate_hmacdate_shift,False,"(0099,xx04)[<0>](0099,xx05)"',
    ]
    wheel = tmp_path / "wheel.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(generate_private.MEMBER, "\n".join(rows))
    monkeypatch.setattr("sys.argv", ["generate_private.py", str(wheel)])
    monkeypatch.setattr(generate_private, "__file__", str(tmp_path / "generate_private.py"))
    generate_private.main()
    written: dict[str, dict[str, str]] = {}
    exec((tmp_path / "private_data.py").read_text(encoding="utf-8"), written)  # noqa: S102  # the file that was just written
    assert {k: v.split() for k, v in written["STANDARD"].items()} == {"SIEMENS MR HEADER": ["IS", "00190C"]}
    assert " ".join(written["TCIA"]["SIEMENS MR HEADER"].split()) == "IS 00190C; US 00190A"
    maker = " ".join(written["TCIA"]["Maker"].split())
    assert maker == "DT/shift 009905; SQ/items 009904; UI/uid 009902; UN 009901"
    assert (tmp_path / "private_data.py").read_text(encoding="utf-8").startswith(generate_private.HEADER)
