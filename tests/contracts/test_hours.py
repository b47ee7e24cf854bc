"""Opening hours: zones, clock changes, holidays, midnights."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contracts.hours import DAY_SECONDS, DAYS, HORIZON_DAYS, HoursRefused, Schedule, schedule

NEW_YORK = "America/New_York"
ZONES = sorted(zoneinfo.available_timezones() - {"localtime", "Factory", "build/etc/localtime"})
OFFICE = schedule(NEW_YORK, {"mon-fri": "09:00-17:00", "sat": ["10:00-12:00", "13:00-15:00"], "sun": "22:00-02:00"})


def local(text: str, zone: str = NEW_YORK, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


@pytest.mark.parametrize(
    ("at", "open_"),
    [
        ("2026-11-23T08:59:59", False),
        ("2026-11-23T09:00:00", True),
        ("2026-11-23T16:59:59", True),
        ("2026-11-23T17:00:00", False),
        ("2026-11-21T12:30:00", False),
        ("2026-11-21T13:00:00", True),
        ("2026-11-22T23:00:00", True),
        ("2026-11-23T01:59:59", True),  # Sunday's span, on Monday
        ("2026-11-23T02:00:00", False),
        ("2026-11-22T01:00:00", False),  # Saturday has none
    ],
)
def test_a_span_begins_with_its_first_minute_and_ends_before_its_last(at: str, open_: bool) -> None:  # noqa: FBT001
    assert OFFICE.is_open(local(at)) is open_


def test_the_wall_clock_of_its_own_zone_decides_in_summer_and_winter() -> None:
    assert OFFICE.is_open(datetime(2026, 7, 1, 13, 0, tzinfo=UTC).timestamp())
    assert not OFFICE.is_open(datetime(2026, 12, 1, 13, 0, tzinfo=UTC).timestamp())


def test_a_holiday_removes_the_spans_that_start_on_it_and_no_others() -> None:
    night = schedule("UTC", {"mon-sun": "22:00-02:00"}, [date(2026, 12, 25), "01-01"])
    assert night.is_open(local("2026-12-25T01:00", "UTC"))  # began on the 24th
    assert not night.is_open(local("2026-12-25T23:00", "UTC"))
    assert not night.is_open(local("2026-12-26T01:00", "UTC"))
    assert night.is_open(local("2027-12-25T23:00", "UTC"))
    for year in (2026, 2027, 2040):
        assert not night.is_open(local(f"{year}-01-01T23:00", "UTC"))


def test_a_skipped_hour_opens_at_the_clock_change_and_a_span_within_it_not_at_all() -> None:
    through = schedule(NEW_YORK, {"sun": "02:15-04:00"})
    within = schedule(NEW_YORK, {"sun": "02:15-02:45"})
    midnight = local("2026-03-08T00:00")  # 02:00 becomes 03:00
    assert through.opens_at(midnight) == midnight + 2 * 3600
    assert within.opens_at(midnight) == local("2026-03-15T02:15")


def test_a_repeated_hour_counts_twice() -> None:
    early = schedule(NEW_YORK, {"sun": "01:00-01:30"})
    first = local("2026-11-01T01:00")  # 02:00 becomes 01:00
    assert early.opens_at(local("2026-11-01T00:00")) == first
    assert early.opens_at(first + 30 * 60) == first + 3600 == local("2026-11-01T01:00", fold=1)
    across = schedule(NEW_YORK, {"sun": "00:30-01:15"})
    assert across.opens_at(first + 20 * 60) == first + 3600


def test_what_is_closed_for_longer_than_the_horizon_opens_at_no_known_time() -> None:
    year = [f"2027-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 32) if _exists(2027, month, day)]
    closed = schedule("UTC", {"mon-sun": "00:00-24:00"}, year)
    new_year = local("2027-01-01T00:00", "UTC")
    assert closed.opens_at(new_year - 1) == new_year - 1
    assert closed.opens_at(new_year) == local("2028-01-01T00:00", "UTC")
    longer = schedule("UTC", {"mon-sun": "00:00-24:00"}, [*year, *(f"2028-01-{day:02}" for day in range(1, 32))])
    assert longer.opens_at(new_year) is None
    assert not closed.never_opens


def _exists(year: int, month: int, day: int) -> bool:
    try:
        return bool(date(year, month, day))
    except ValueError:
        return False


def test_what_never_opens_and_what_never_closes_is_known() -> None:
    always = schedule("UTC", {"mon-sun": "00:00-24:00"})
    seams = schedule("UTC", {"mon-sun": ["08:00-20:00", "20:00-08:00"]})
    every_day = [f"{date(2000, 1, 1) + timedelta(days=n):%m-%d}" for n in range(366)]
    assert (always.never_closes, seams.never_closes, OFFICE.never_closes) == (True, True, False)
    assert not schedule("UTC", {"mon-sun": "00:00-24:00"}, ["12-25"]).never_closes
    assert not schedule("UTC", {"mon-sun": ["08:00-20:00", "20:01-08:00"]}).never_closes
    assert schedule("UTC", {}).never_opens
    assert schedule("UTC", {"mon": []}).never_opens
    assert schedule("UTC", {"mon": "09:00-10:00"}, every_day).never_opens
    assert not schedule("UTC", {"mon": "09:00-10:00"}, every_day[1:]).never_opens


@pytest.mark.parametrize(
    ("zone", "week", "holidays", "where"),
    [
        ("America", {}, [], "time_zone"),
        ("Mars/Olympus", {}, [], "time_zone"),
        ("../etc/passwd", {}, [], "time_zone"),
        (None, {}, [], "time_zone"),
        ("UTC", [], [], "open"),
        ("UTC", {}, "12-25", "holidays"),
        ("UTC", {"monday": "09:00-10:00"}, [], "open.monday"),
        ("UTC", {"mon-": "09:00-10:00"}, [], "open.mon-"),
        ("UTC", {"mon": "9-10"}, [], "open.mon"),
        ("UTC", {"mon": "09:00-25:00"}, [], "open.mon"),
        ("UTC", {"mon": "24:00-09:00"}, [], "open.mon"),
        ("UTC", {"mon": "09:00-09:00"}, [], "open.mon"),
        ("UTC", {"mon": 5}, [], "open.mon"),
        ("UTC", {"mon-fri": "09:00-10:00", "wed": "11:00-12:00"}, [], "open.wed"),
        ("UTC", {}, ["02-30"], "holidays.0"),
        ("UTC", {}, ["12-25", "2026-13-01"], "holidays.1"),
        ("UTC", {}, [datetime(2026, 1, 1, tzinfo=UTC)], "holidays.0"),
        ("UTC", {}, [5], "holidays.0"),
    ],
)
def test_hours_without_their_form_are_refused_where_they_stand(
    zone: object, week: object, holidays: object, where: str
) -> None:
    with pytest.raises(HoursRefused) as refused:
        schedule(zone, week, holidays)
    assert refused.value.where == where


def test_a_range_of_days_may_pass_the_weekend() -> None:
    assert [bool(spans) for spans in schedule("UTC", {"sat-mon": "09:00-10:00"}).week] == [
        day in {"sat", "sun", "mon"} for day in DAYS
    ]


minutes = st.integers(0, 24 * 60 - 1).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
spans = st.tuples(minutes, minutes | st.just("24:00")).filter(lambda one: one[0] != one[1]).map("-".join)
weeks = st.dictionaries(st.sampled_from(DAYS), st.lists(spans, max_size=3), min_size=1)
moments = st.integers(int(local("2020-01-01")), int(local("2035-01-01")))
in_leap_year = st.dates(date(2028, 1, 1), date(2028, 12, 31))


@st.composite
def near_a_clock_change(draw: st.DrawFn) -> tuple[str, int]:
    """A zone, and a moment within two days of a change of its offset, if it has one in that year."""
    zone, begin = draw(st.sampled_from(ZONES)), draw(moments)
    offsets = [datetime.fromtimestamp(begin + day * DAY_SECONDS, ZoneInfo(zone)).utcoffset() for day in range(366)]
    changes = [day for day in range(365) if offsets[day] != offsets[day + 1]]
    day = draw(st.sampled_from(changes)) if changes else 0
    return zone, begin + day * DAY_SECONDS + draw(st.integers(-DAY_SECONDS, DAY_SECONDS))


def plainly_open(hours: Schedule, at: int) -> bool:
    """Walks the week's spans one by one, the way a person with a calendar and the clock on the wall would."""
    wall = datetime.fromtimestamp(at, ZoneInfo(hours.time_zone)).replace(tzinfo=None)
    for back in (0, 1):
        day = wall.date() - timedelta(days=back)
        if day.strftime("%Y-%m-%d") in hours.holidays or day.strftime("%m-%d") in hours.holidays:
            continue
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a wall clock
        for first, end in hours.week[day.weekday()]:
            if midnight + timedelta(minutes=first) <= wall < midnight + timedelta(minutes=end):
                return True
    return False


@given(where=near_a_clock_change(), week=weeks, holidays=st.lists(in_leap_year.map(lambda day: f"{day:%m-%d}")))
def test_the_next_opening_is_the_first_moment_that_is_open(
    where: tuple[str, int], week: dict[str, list[str]], holidays: list[str]
) -> None:
    zone, at = where
    hours = schedule(zone, week, holidays)
    opening = hours.opens_at(at)
    assert hours.is_open(at) is plainly_open(hours, at)
    if opening is None:
        assert not any(plainly_open(hours, at + n * 3607) for n in range(0, HORIZON_DAYS * 24, 7))
        return
    assert opening >= at
    assert plainly_open(hours, int(opening))
    assert opening == at or not plainly_open(hours, int(opening) - 1)
    gap = int(opening) - at
    for part in range(1, 200):
        assert not plainly_open(hours, at + gap * part // 200) or gap == 0


@given(week=weeks, at=moments, zone=st.sampled_from(ZONES))
def test_what_never_closes_is_open_always_and_what_never_opens_never(
    week: dict[str, list[str]], at: int, zone: str
) -> None:
    hours = schedule(zone, week)
    if hours.never_opens:
        assert hours.opens_at(at) is None
    elif hours.never_closes:
        assert hours.opens_at(at) == at
    else:
        moment = hours.opens_at(at)
        assert moment is not None
        assert any(not hours.is_open(moment + minute * 60) for minute in range(8 * 24 * 60))


def test_in_every_zone_a_working_week_opens_within_four_days() -> None:
    at = local("2026-10-24T12:00", "UTC")
    for zone in ZONES:
        opening = schedule(zone, {"mon-fri": "09:00-17:00"}).opens_at(at)
        assert opening is not None, zone
        assert at <= opening <= at + 4 * DAY_SECONDS, zone
        wall = datetime.fromtimestamp(opening, ZoneInfo(zone))
        assert (wall.hour, wall.minute, wall.second) == (9, 0, 0), zone


@given(st.text())
def test_any_text_is_a_zone_or_refused(text: str) -> None:
    assume(text not in ZONES)
    with pytest.raises(HoursRefused):
        schedule(text, {})
