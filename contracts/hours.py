"""When people can be reached: weekly opening hours in a time zone, with holidays.

The wall clock decides: a destination is open whenever a clock on its wall shows a time within a span. So an hour that
a clock change repeats counts twice, and one it skips not at all. A span past midnight belongs to the day it starts on,
and a holiday removes the spans that start on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_SECONDS = 86_400
DAY_MINUTES = 24 * 60
HORIZON_DAYS = 370
_SPAN = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|(24):(00))", re.ASCII)
_HOLIDAY = re.compile(r"(?:([0-9]{4})-)?([0-9]{2})-([0-9]{2})", re.ASCII)
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*", re.ASCII)
_LEAP_YEAR = 2000

Span = tuple[int, int]
"""First minute, and the minute after the last, from midnight of the day it starts on: (1320, 1560) ends at two."""


class HoursRefused(ValueError):  # noqa: N818 - it names what became of the hours
    """Opening hours have not their form; `where` is the field within them, and the text says what is wrong."""

    def __init__(self, where: str, says: str) -> None:
        super().__init__(says)
        self.where = where


@dataclass(frozen=True, slots=True)
class Schedule:
    """Opening hours: the spans of each day from Monday, and holidays as `YYYY-MM-DD` or, every year, `MM-DD`."""

    time_zone: str
    week: tuple[tuple[Span, ...], ...]
    holidays: frozenset[str] = frozenset()

    def is_open(self, at: float) -> bool:
        """Whether it is open at `at` (seconds since the epoch)."""
        local = datetime.fromtimestamp(at, ZoneInfo(self.time_zone))
        minute = local.hour * 60 + local.minute
        return any(
            first <= minute + ago * DAY_MINUTES < end
            for ago in (0, 1)
            for first, end in self._spans(local.date() - timedelta(days=ago))
        )

    def opens_at(self, at: float) -> float | None:
        """The first moment from `at` on when it is open (`at` itself, if it is); None: not within 370 days."""
        if self.is_open(at):
            return at
        for begin in (at + DAY_SECONDS * n for n in range(HORIZON_DAYS)):
            edges = (edge for edge in self._edges(begin) if begin <= edge < begin + DAY_SECONDS)
            opening = min((edge for edge in edges if self.is_open(edge)), default=None)
            if opening is not None:
                return opening
        return None

    @property
    def never_opens(self) -> bool:
        """Whether no day has a span, or every day of the year is a holiday."""
        days = (date(_LEAP_YEAR, 1, 1) + timedelta(days=n) for n in range(366))
        return not any(self.week) or all(f"{day:%m-%d}" in self.holidays for day in days)

    @property
    def never_closes(self) -> bool:
        """Whether every minute of every week is open."""
        return not self.holidays and all(
            self._covers(self.week[day], self.week[day - 1]) for day in range(len(self.week))
        )

    def _covers(self, today: tuple[Span, ...], yesterday: tuple[Span, ...]) -> bool:
        reached = 0
        carried = ((first - DAY_MINUTES, end - DAY_MINUTES) for first, end in yesterday)
        for first, end in sorted([*today, *carried]):
            if first <= reached:
                reached = max(reached, end)
        return reached >= DAY_MINUTES

    def _spans(self, day: date) -> tuple[Span, ...]:
        if {day.isoformat(), f"{day:%m-%d}"} & self.holidays:
            return ()
        return self.week[day.weekday()]

    def _edges(self, begin: float) -> Iterator[float]:
        """Every moment of the day from `begin` at which it can open: the spans' starts, and the clock's changes."""
        zone = ZoneInfo(self.time_zone)
        first_day = datetime.fromtimestamp(begin, zone).date() - timedelta(days=1)
        for day in (first_day + timedelta(days=n) for n in range(4)):
            midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a wall clock's time; the zone follows
            for start, _ in self._spans(day):
                wall = midnight + timedelta(minutes=start)
                # A repeated hour has both; of a skipped one both miss the change itself, which follows.
                yield from (wall.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
        yield from _clock_changes(zone, int(begin), int(begin) + DAY_SECONDS + 1)


def _clock_changes(zone: ZoneInfo, begin: int, end: int) -> Iterator[int]:
    """The moment between `begin` and `end` (a day, so at most one) from which another offset holds."""

    def offset(at: int) -> timedelta | None:
        return datetime.fromtimestamp(at, zone).utcoffset()

    before = offset(begin)
    if before == offset(end):
        return
    while end - begin > 1:
        middle = (begin + end) // 2
        begin, end = (middle, end) if offset(middle) == before else (begin, middle)
    yield end


def schedule(time_zone: object, open_: object, holidays: object = ()) -> Schedule:
    """A schedule from the agent file's words.

    Args:
        time_zone: an IANA name.
        open_: `mon` or `mon-fri` to `"09:00-17:00"` or a list of such spans; `24:00` is the end of a day.
        holidays: dates (`2026-12-25`), or days of every year (`"12-25"`).

    Raises:
        HoursRefused: one of them has not its form.
    """
    if not isinstance(open_, Mapping):
        raise HoursRefused("open", "is not a mapping of days")
    if not isinstance(holidays, Sequence) or isinstance(holidays, str):
        raise HoursRefused("holidays", "is not a list")
    week: dict[int, tuple[Span, ...]] = {}
    for days, spans in open_.items():
        where = f"open.{days}"
        read = tuple(_span(where, one) for one in (spans if isinstance(spans, list) else [spans]))
        for day in _days(where, days):
            if day in week:
                raise HoursRefused(where, f"{DAYS[day]} is given twice")
            week[day] = read
    return Schedule(
        time_zone=_zone(time_zone),
        week=tuple(week.get(day, ()) for day in range(len(DAYS))),
        holidays=frozenset(_holiday(f"holidays.{n}", one) for n, one in enumerate(holidays)),
    )


def _zone(name: object) -> str:
    if not isinstance(name, str) or not _ZONE.fullmatch(name):
        raise HoursRefused("time_zone", "is not the name of a time zone, such as America/New_York")
    try:
        return ZoneInfo(name).key
    except (KeyError, ValueError, OSError) as error:  # a folder of zones, "America", is an OSError
        raise HoursRefused("time_zone", f"{name} is not known; names are like America/New_York") from error


def _days(where: str, days: object) -> Sequence[int]:
    first, dash, last = str(days).partition("-")
    if first not in DAYS or (dash and last not in DAYS):
        raise HoursRefused(where, "is not a day (mon) or a range of days (mon-fri)")
    begin = DAYS.index(first)
    end = DAYS.index(last) if dash else begin
    return [(begin + n) % 7 for n in range((end - begin) % 7 + 1)]


def _span(where: str, text: object) -> Span:
    match = _SPAN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise HoursRefused(where, 'is not a span of time, such as "09:00-17:00"')
    hour, minute, end_hour, end_minute = (int(part) for part in match.groups() if part)
    start, end = hour * 60 + minute, end_hour * 60 + end_minute
    if start == end:
        raise HoursRefused(where, 'begins and ends at the same time; a whole day is "00:00-24:00"')
    return start, end if end > start else end + DAY_MINUTES


def _holiday(where: str, day: object) -> str:
    text = day.isoformat() if isinstance(day, date) else day  # YAML reads 2026-12-25 as a date
    match = _HOLIDAY.fullmatch(text) if isinstance(text, str) else None
    try:
        year, month, in_month = match.groups() if match else ("", "0", "0")
        date(int(year or _LEAP_YEAR), int(month), int(in_month))
    except ValueError as error:
        raise HoursRefused(where, 'is not a date: write 2026-12-25, or "12-25" for every year') from error
    return str(text)
