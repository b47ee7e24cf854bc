"""A call's events as people read them: a sign, a sentence, and how it ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from cli.call_log import Event
from contracts import events

_TOLD: Mapping[events.Event, tuple[str, str]] = {
    events.CALL_RECEIVED: ("✔", "{caller} calls {called}"),
    events.REQUEST_REFUSED: ("✖", "a request to {route} is refused ({status}): {why}"),
    events.STREAM_OFFERED: ("·", "visit {visit} to the agent is offered: {why}"),
    events.MEDIA_ACCEPTED: ("✔", "the media socket is let in"),
    events.MEDIA_REFUSED: ("✖", "a media socket is refused ({status}): {why}"),
    events.STREAM_STARTED: ("✔", "the stream is up"),
    events.STREAM_ENDED: ("·", "the stream has ended: {why} ({by})"),
    events.STREAM_QUESTION: ("·", "Twilio asks what next: {decision}"),
    events.MODEL_CONNECTED: ("✔", "the model is reached in {ms} ms"),
    events.MODEL_READY: ("✔", "the model is ready"),
    events.MODEL_FAILED: ("✖", "the model failed: {why}"),
    events.MODEL_ERROR: ("⚠", "the model reports an error: {code}"),
    events.MODEL_RESUMED: ("✔", "the agent is back after {ms} ms ({why})"),
    events.LINE_SPOKEN: ("·", "our own line: one moment please"),
    events.SPEECH_UNHEARD: ("⚠", "the model did not notice that the caller spoke ({times})"),
    events.PLAYOUT_LAGGED: ("⚠", "what plays lags {seconds} s behind"),
    events.BARGE_IN: ("⚡", "barge-in: {heard_ms} ms were heard, {unheard_ms} ms are cleared"),
    events.KEY_PRESSED: ("☎", "the caller presses a key"),
    events.TOOL_CALLED: ("☎", "the agent calls {tool}"),
    events.HANDOFF_ASKED: ("☎", "a person is asked for: {destination} ({reason})"),
    events.HANDOFF_ANNOUNCED: ("☎", "the hand-off line: {how}"),
    events.HANDOFF_QUEUED: ("☎", "the request is queued in {ms} ms"),
    events.HANDOFF_FAILED: ("✖", "the request cannot be queued: {why}"),
    events.HANDOFF_RELEASED: ("⚠", "the request is given up: {why}"),
    events.TRANSFER_CLAIMED: ("☎", "the request is claimed by {by}, attempt {attempt}"),
    events.TRANSFER_ANSWERED: ("☎", "Twilio answers {status}"),
    events.TRANSFER_DIALLED: ("☎", "{destination} is dialled"),
    events.TRANSFER_BRIDGED: ("✔", "bridged: the caller speaks with {destination}"),
    events.TRANSFER_OVER: ("·", "the attempt to reach {destination} is over: {outcome}"),
    events.TRANSFER_REFUSED: ("✖", "the transfer is refused: {why}"),
    events.TRANSFER_REDIRECTED: ("⚠", "the transfer goes to the default person: {why}"),
    events.TRANSFER_MALFORMED: ("✖", "a transfer message is malformed: {why}"),
    events.LEG_STATUS: ("☎", "the person's phone: {status}"),
    events.DIAL_ENDED: ("·", "the dial has ended: {dial_status}"),
    events.DEFAULT_PERSON: ("⚠", "the default person is dialled: {why}"),
    events.SENTENCE_SPOKEN: ("⚠", "a sentence is spoken instead: {why}"),
    events.LIMIT_REACHED: ("⚠", "a limit is reached: {limit}"),
    events.LEDGER_FAILED: ("✖", "the ledger failed: {operation}, {error}"),
    events.HANDLER_FAILED: ("✖", "{route} failed: {error}"),
    events.CONFIG_LOADED: ("·", "another agent file is in force for new calls"),
    events.CONFIG_REFUSED: ("✖", "an agent file is refused: {why}"),
    events.EFFECT_FAILED: ("✖", "{effect} failed: {error}"),
    events.CALL_ENDED: ("■", "the call has ended: {reason}, by {by}, after {seconds} s"),
}
_BY_NAME = {event.name: told for event, told in _TOLD.items()}
_STYLES = {"✔": "green", "✖": "red", "⚠": "yellow", "⚡": "yellow", "☎": "cyan", "·": "dim", "■": "bold"}


def told(event: Event) -> tuple[str, str, str] | None:
    """Sign, style and sentence of an event; None for those too small to tell."""
    known = _BY_NAME.get(str(event["event"]))
    if known is None:
        return None
    sign, sentence = known
    return sign, _STYLES[sign], sentence.format_map(defaultdict(lambda: "?", event))


def ending(about: Sequence[Event]) -> str:
    """How a call ended, in one sentence."""
    bridged = [event for event in about if event["event"] == events.TRANSFER_BRIDGED.name]
    person = f"; the caller spoke with {bridged[-1].get('destination', 'a person')}" if bridged else ""
    for event in reversed(about):
        if event["event"] == events.CALL_ENDED.name:
            how = _BY_NAME[events.CALL_ENDED.name][1].format_map(defaultdict(lambda: "?", event))
            return f"{how[0].upper()}{how[1:]}{person}."
    return f"Nothing says that it has ended: it is live, or its end was not reported{person}."
