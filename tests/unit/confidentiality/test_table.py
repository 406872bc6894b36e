from collections import Counter

import pytest

from orthanc_deid.confidentiality import table
from orthanc_deid.confidentiality.options import CODES, IMPLEMENTED, Option, code


def test_the_basic_column_has_every_row_of_2026c() -> None:
    letters = Counter(table.basic().values())
    assert letters == {
        "D": 93, "Z": 42, "X": 412, "U": 55, "Z/D": 6, "X/Z": 11, "X/D": 23, "X/Z/D": 8, "X/Z/U*": 2,
    }  # fmt: skip


@pytest.mark.parametrize("option", sorted(IMPLEMENTED))
def test_an_implemented_option_has_its_rows(option: Option) -> None:
    assert len(table.option(option)) > 10


def test_the_date_option_shifts_dates_and_keeps_times() -> None:
    assert Counter(table.option(Option.MODIFIED_DATES).values()) == {"shift": 114, "keep": 52}


@pytest.mark.parametrize("tag", [0x00091001, 0x00090010, 0x50000010, 0x501E2500, 0x60003000, 0x60020022])
def test_private_curve_and_overlay_groups_are_removed_whole(tag: int) -> None:
    assert table.in_removed_group(tag)


@pytest.mark.parametrize("tag", [0x00100010, 0x7FE00010, 0x54000100])
def test_other_groups_are_not(tag: int) -> None:
    assert not table.in_removed_group(tag)


def test_every_option_of_the_standard_has_its_code() -> None:
    assert len(set(CODES.values())) == len(Option) == 12
    assert code(Option.CLEAN_PIXEL_DATA) == ("113101", "Clean Pixel Data Option")
