import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthanc_deid.confidentiality.texts.dates import is_time, shifted

days = st.integers(-3650, -365)
dates = st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1))


@given(dates, dates, days)
def test_intervals_between_dates_are_preserved(first: dt.date, second: dt.date, offset: int) -> None:
    new = [shifted(f"{date:%Y%m%d}", offset) for date in (first, second)]
    moved = [dt.datetime.strptime(text or "", "%Y%m%d").replace(tzinfo=dt.UTC).date() for text in new]
    assert moved[1] - moved[0] == second - first
    assert moved[0] != first


@given(st.text(max_size=20), days)
def test_any_text_is_shifted_or_refused(text: str, offset: int) -> None:
    new = shifted(text, offset)
    assert new is None or len(new.split("\\")) == len(text.split("\\"))


@pytest.mark.parametrize(
    ("value", "new"),
    [
        ("20200301", "20200229"),
        ("2020.03.01", "2020.02.29"),
        ("20200301\\20200302", "20200229\\20200301"),
        ("20200301 ", "20200229"),
        ("", ""),
        ("20200301\\", "20200229\\"),
        ("20200301101112.123456+0130", "20200229101112.123456+0130"),
        ("2020030110", "2020022910"),
        ("20200301-20200303", "20200229-20200302"),
        ("20200301-", "20200229-"),
        ("202003", "202003"),
        ("2020", "2020"),
    ],
)
def test_a_value_keeps_its_form(value: str, new: str) -> None:
    assert shifted(value, -1) == new


def test_partial_dates_move_with_the_offset() -> None:
    assert shifted("2020", -730) == "2018"
    assert shifted("202003", -366) == "201903"


@pytest.mark.parametrize("value", ["20201301", "yesterday", "20200230", "Zyxwvut", "2020030", "00010101", "20200301x"])
def test_what_is_no_date_is_refused(value: str) -> None:
    assert shifted(value, -400) is None


def test_times_are_told_from_other_texts() -> None:
    assert is_time("101112.5")
    assert is_time("10:11:12\\10")
    assert not is_time("Zyxwvut")
