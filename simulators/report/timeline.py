"""The live timeline: one line an event for people to read while the call goes on."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from contracts import events
from simulators.report.run import Line, moment

_LINES: Mapping[str, tuple[str, str, str]] = {
    events.CALL_RECEIVED.name: ("✔", "green", "the call is received, its signature is good"),
    events.REQUEST_REFUSED.name: ("✘", "red", "a request is refused ({status}): {why}"),
    events.MEDIA_ACCEPTED.name: ("✔", "green", "the media socket is let in"),
    events.MEDIA_REFUSED.name: ("✘", "red", "a media socket is refused ({status}): {why}"),
    events.STREAM_STARTED.name: ("✔", "green", "the stream is up"),
    events.MODEL_READY.name: ("✔", "green", "the model is ready"),
    events.MODEL_FAILED.name: ("✘", "red", "the model failed: {why}"),
    events.MODEL_RESUMED.name: ("✔", "green", "the agent is back after {ms} ms ({why})"),
    events.LINE_SPOKEN.name: ("·", "yellow", "our own line: one moment please"),
    events.SPEECH_UNHEARD.name: ("✘", "red", "the model did not notice that the caller spoke"),
    events.PLAYOUT_LAGGED.name: ("✘", "red", "what plays lags {seconds} s behind"),
    events.BARGE_IN.name: ("⚡", "yellow", "barge-in: {heard_ms} ms were heard, {unheard_ms} ms are cleared"),
    events.KEY_PRESSED.name: ("⌨", "cyan", "a key is pressed"),
    events.TOOL_CALLED.name: ("⚙", "cyan", "the agent calls {tool}"),
    events.HANDOFF_ASKED.name: ("☎", "cyan", "a person is asked for: {destination} ({reason})"),
    events.HANDOFF_ANNOUNCED.name: ("☎", "cyan", "the hand-off line: {how}"),
    events.HANDOFF_QUEUED.name: ("☎", "cyan", "the request is queued ({ms} ms)"),
    events.HANDOFF_FAILED.name: ("✘", "red", "the request cannot be queued: {why}"),
    events.TRANSFER_CLAIMED.name: ("☎", "cyan", "the request is claimed by {by}, attempt {attempt}"),
    events.TRANSFER_ANSWERED.name: ("☎", "cyan", "Twilio answers {status}"),
    events.TRANSFER_DIALLED.name: ("☎", "cyan", "{destination} is being dialled"),
    events.TRANSFER_BRIDGED.name: ("✔", "bold green", "bridged: the caller speaks with {destination}"),
    events.TRANSFER_OVER.name: ("·", "cyan", "the attempt is over: {outcome}"),
    events.DEFAULT_PERSON.name: ("☎", "yellow", "the default person is dialled: {why}"),
    events.LEG_STATUS.name: ("☎", "cyan", "the person's phone: {status}"),
    events.STREAM_ENDED.name: ("·", "dim", "the stream has ended: {why}"),
    events.STREAM_QUESTION.name: ("·", "dim", "what next? {decision}"),
    events.CALL_ENDED.name: ("■", "bold", "the call has ended: {reason}"),
    events.HANDLER_FAILED.name: ("✘", "red", "{route} failed: {error}"),
    events.EFFECT_FAILED.name: ("✘", "red", "{effect} failed: {error}"),
}
_VOICES = {"caller": "magenta", "agent": "blue", "person": "green"}


def described(line: Line) -> tuple[str, str, str] | None:
    """Icon, style and text of an event; None for those too small to tell."""
    known = _LINES.get(str(line.get("event")))
    if known is None:
        return None
    icon, style, template = known
    return icon, style, template.format_map(defaultdict(lambda: "?", line))


class LiveTimeline:
    """Tells a call on a terminal with a moving footer, elsewhere in plain lines; honours NO_COLOR.

    A context manager. `levels`, once set, returns mouth and ear levels of the caller in dBFS now, for the footer.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._console = Console(file=out or sys.stdout, highlight=False, soft_wrap=True)
        self.levels: Callable[[], tuple[float, float]] = lambda: (-96.0, -96.0)
        self._start: float | None = None
        self._live = (
            Live(get_renderable=self._footer, console=self._console, refresh_per_second=8, transient=True)
            if self._console.is_terminal
            else None
        )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def event(self, line: Line) -> None:
        """Print the event if it is worth a line; its clock begins with the first event of a call."""
        told = described(line)
        if told is None:
            return
        if self._start is None:
            self._start = moment(line)
        icon, style, text = told
        self._print(moment(line) - self._start, Text.assemble((f"{icon} ", style), (text, style)))

    def said(self, who: str, text: str, at: float) -> None:
        """Print what somebody said at that moment (seconds since the epoch); before the call nobody says anything."""
        if self._start is None:
            return
        self._print(at - self._start, Text.assemble((f"  {who:<7}", f"bold {_VOICES.get(who, '')}"), f"“{text}”"))

    def _print(self, at: float, text: Text) -> None:
        self._console.print(Text.assemble((f"{at:6.2f} s  ", "dim"), text))

    def _footer(self) -> Text:
        mouth, ear = (max(0, min(24, round((level + 60) / 2))) for level in self.levels())
        bars = (f"  caller {'▇' * mouth:<24}", "magenta"), (f"  hears {'▇' * ear:<24}", "blue")
        at = time.time() - self._start if self._start else 0.0
        return Text.assemble((f"{at:6.2f} s", "dim"), *bars)
