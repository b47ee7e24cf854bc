"""A call's events, out of CloudWatch's log groups: read page by page, and merged by the time they happened.

A line is one JSON object (`contracts/events.py`); Lambda may wrap it in a record of its own, put words before it, and
log lines of its own between. Whatever is no event is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cli.deployment import Deployment
from cli.errors import CommandError

Event = Mapping[str, Any]

_CALL_SID = re.compile(r"CA[0-9a-f]{32}")
_SPAN = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_DEEPEST = 3


def call_sid(text: str) -> str:
    """A call SID as Twilio writes it: https://www.twilio.com/docs/glossary/what-is-a-sid.

    Raises:
        CommandError: it is none.
    """
    if not _CALL_SID.fullmatch(text):
        fix = "write CA and 32 hexadecimal digits; './patchthrough calls list' shows recent ones"
        raise CommandError(f"'{text[:40]}'", "it is not a call SID", fix)
    return text


def span(text: str) -> timedelta:
    """`30m`, `24h` or `7d`.

    Raises:
        CommandError: it is none of these.
    """
    match = _SPAN.fullmatch(text)
    if match is None:
        raise CommandError("--since", f"'{text[:20]}' is no span of time", "write 30m, 24h or 7d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def event_in(message: str) -> Event | None:
    """The event in a log line, or None."""
    start = message.find("{")
    if start < 0:
        return None
    try:
        content, _ = json.JSONDecoder().raw_decode(message[start:])
    except (ValueError, RecursionError):
        return None
    for _ in range(_DEEPEST):
        if not isinstance(content, dict):
            return None
        if isinstance(content.get("event"), str) and _moment(content) is not None:
            return content
        content = content.get("message")
        if isinstance(content, str):
            return event_in(content) if content != message else None
    return None


def merged(messages: Iterable[str], sid: str | None = None) -> list[Event]:
    """The events of log lines in the order in which they happened; with `sid`, those of one call."""
    found = (event_in(message) for message in messages)
    events = [event for event in found if event is not None and sid in {None, event.get("call_sid")}]
    return sorted(events, key=moment)


def moment(event: Event) -> float:
    """When an event happened, in seconds since the epoch."""
    at = _moment(event)
    assert at is not None, "an event has its time"
    return at


def _moment(event: Event) -> float | None:
    try:
        at = datetime.fromisoformat(str(event["at"]))
        return at.timestamp() if at.tzinfo else None
    except (KeyError, ValueError, OverflowError):
        return None


def read(deployment: Deployment, term: str, since: timedelta, now: datetime, *, groups: int | None = None) -> list[str]:
    """The log lines with a term in them, of all parts or of the first `groups` in `LogGroups`.

    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html

    Raises:
        CommandError: not deployed, or a log group cannot be read.
    """
    names = deployment.outputs["LogGroups"].split(",")[:groups]
    logs = deployment.aws("logs")
    try:
        return [line for name in names for line in _lines(logs, name, term, now - since, now)]
    except (BotoCoreError, ClientError) as error:
        why = " ".join(str(error).split())
        raise CommandError("the logs", why, "check the AWS credentials and region") from None


def _lines(logs: Any, group: str, term: str, start: datetime, end: datetime) -> Iterator[str]:
    asked = {
        "logGroupName": group,
        "filterPattern": f'"{term}"',
        "startTime": _milliseconds(start),
        # Clocks differ, and the newest lines are what is asked for.
        "endTime": _milliseconds(end + timedelta(minutes=5)),
    }
    for page in logs.get_paginator("filter_log_events").paginate(**asked):
        for line in page["events"]:
            yield line["message"]


def _milliseconds(at: datetime) -> int:
    return max(0, int(at.timestamp() * 1000))


def by_call(events: Sequence[Event]) -> dict[str, list[Event]]:
    """The events of each call, the calls in the order in which they began."""
    calls: dict[str, list[Event]] = {}
    for event in events:
        if event.get("call_sid"):
            calls.setdefault(str(event["call_sid"]), []).append(event)
    return calls
