"""Weekly windows: inside or not at every minute, and how long until the next one, also when clocks change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orthanc_deid.settings.delivery import Delivery
from orthanc_deid.settings.windows import DAYS, minutes, opens_in

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3600.0


def at(day: str, clock: str) -> datetime:
    hour, minute = clock.split(":")
    return MONDAY + timedelta(days=DAYS.index(day), hours=int(hour), minutes=int(minute))


@pytest.mark.parametrize(
    ("windows", "day", "clock", "hours"),
    [
        ((), "wed", "12:00", 0),
        (("22:00-06:00",), "wed", "21:00", 1),
        (("22:00-06:00",), "wed", "23:59", 0),
        (("22:00-06:00",), "thu", "05:59", 0),
        (("22:00-06:00",), "thu", "06:00", 16),
        (("22:00-06:00",), "mon", "03:00", 0),  # the night of Sunday
        (("mon-fri 18:00-06:00",), "sat", "05:00", 0),
        (("mon-fri 18:00-06:00",), "sat", "06:00", 60),
        (("mon-fri 18:00-06:00",), "mon", "03:00", 15),  # the night of Sunday is none
        (("sat 00:00-24:00",), "sat", "23:59", 0),
        (("sat 00:00-24:00",), "sun", "00:00", 6 * 24),
        (("fri-mon 00:00-24:00",), "sun", "12:00", 0),
        (("fri-mon 00:00-24:00",), "tue", "00:00", 72),
        (("sun 23:00-01:00",), "mon", "00:30", 0),
        (("mon 08:00-09:00", "mon 12:00-13:00"), "mon", "10:00", 2),
    ],
)
def test_it_opens_when_it_says(windows: tuple[str, ...], day: str, clock: str, hours: float) -> None:
    assert opens_in(windows, at(day, clock)) == pytest.approx(hours * HOUR)


@pytest.mark.parametrize(
    ("window", "told"),
    [
        ("18-06", "not a window"),
        ("mon-fri 18:00", "not a window"),
        ("Mon 18:00-20:00", "not a window"),
        ("mo 18:00-20:00", "not a window"),
        ("abc 18:00-20:00", "abc is not a day"),
        ("18:00-25:00", "a day ends at 24:00"),
        ("24:01-06:00", "a day ends at 24:00"),
        ("08:00-08:00", "no length"),
    ],
)
def test_what_is_no_window_is_refused_with_what_is_one(window: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        minutes(window)
    with pytest.raises(ValidationError, match=told):
        Delivery.model_validate({"name": "a", "windows": (window,)})


def test_a_time_zone_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError, match="Europe/Berlin is one"):
        Delivery.model_validate({"name": "a", "timezone": "Europe/Berlln"})
    assert Delivery.model_validate({"name": "a", "timezone": "Europe/Berlin"}).timezone == "Europe/Berlin"


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        (datetime(2026, 3, 28, 23, 0, tzinfo=BERLIN), 4 * HOUR),  # an hour is left out in that night
        (datetime(2026, 10, 24, 23, 0, tzinfo=BERLIN), 6 * HOUR),  # an hour comes twice
        (datetime(2026, 10, 23, 23, 0, tzinfo=BERLIN), 5 * HOUR),
    ],
)
def test_the_wait_is_what_passes_although_the_clock_is_changed(now: datetime, seconds: float) -> None:
    assert opens_in(("04:00-05:00",), now) == pytest.approx(seconds)


CLOCK = st.builds(lambda h, m: f"{h:02}:{m:02}", st.integers(0, 23), st.integers(0, 59))
DAY = st.sampled_from(DAYS)
WINDOW = st.builds(
    lambda days, begin, end: f"{days}{begin}-{end}",
    st.one_of(st.just(""), DAY.map(lambda d: f"{d} "), st.builds(lambda a, b: f"{a}-{b} ", DAY, DAY)),
    CLOCK,
    CLOCK,
).filter(lambda text: text[-11:-6] != text[-5:])
MOMENT = st.integers(0, 7 * 24 * 60 - 1).map(lambda m: MONDAY + timedelta(minutes=m))


@given(st.lists(WINDOW, min_size=1, max_size=3), MOMENT)
def test_after_the_wait_it_is_open_and_not_a_minute_sooner(windows: list[str], now: datetime) -> None:
    wait_s = opens_in(windows, now)
    assert 0 <= wait_s <= 7 * 24 * HOUR
    assert opens_in(windows, now + timedelta(seconds=wait_s)) == 0
    if wait_s:
        assert opens_in(windows, now + timedelta(seconds=wait_s - 60)) == pytest.approx(60)
