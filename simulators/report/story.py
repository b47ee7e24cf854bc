"""What happened in a call, read from its events alone: the chain of stages, the attempts, the end, one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts import events
from simulators.report.run import Line, moment

STAGES: Mapping[str, str] = {
    events.CALL_RECEIVED.name: "webhook: the call is received",
    events.STREAM_OFFERED.name: "webhook: a stream is offered",
    events.MEDIA_ACCEPTED.name: "relay: the media socket is let in",
    events.STREAM_STARTED.name: "relay: the stream is up",
    events.MODEL_READY.name: "relay: the model is ready",
    events.HANDOFF_ASKED.name: "relay: a person is asked for",
    events.HANDOFF_ANNOUNCED.name: "relay: the hand-off line is over",
    events.HANDOFF_QUEUED.name: "relay: the request is queued",
    events.TRANSFER_CLAIMED.name: "transfer: the request is claimed",
    events.TRANSFER_SENT.name: "transfer: Twilio is asked",
    events.TRANSFER_ANSWERED.name: "transfer: Twilio has answered",
    events.TRANSFER_DIALLED.name: "transfer: the line rings",
    events.LEG_STATUS.name: "webhook: the person's phone: {status}",
    events.TRANSFER_ACCEPTED.name: "webhook: the person accepts with a key",
    events.TRANSFER_DECLINED.name: "webhook: the person does not take the call: {verdict}",
    events.TRANSFER_ADVANCED.name: "webhook: {outcome}, so {destination} is tried",
    events.TRANSFER_BRIDGED.name: "webhook: bridged",
    events.MESSAGE_TAKEN.name: "webhook: a message is taken",
    events.TRANSFER_OVER.name: "webhook: the attempt is over: {outcome}",
    events.DIAL_ENDED.name: "webhook: the dial has ended: {dial_status}",
    events.CALL_ENDED.name: "webhook: the call has ended",
}
_FIRST_AUDIO = "relay: the greeting is heard"

_OUTCOMES: Mapping[str, str] = {
    "busy": "was busy",
    "no_answer": "did not answer",
    "failed": "could not be reached",
    "declined": "declined",
    "voicemail": "was a voicemail",
    "closed": "was closed",
    "carrier_error": "could not be dialled",
    "not_configured": "could not be dialled",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of the chain: when (seconds since the first one) and how long after the step before (ms)."""

    label: str
    at: float
    took_ms: int


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended: one reason word and whose doing it was; both empty if nobody said."""

    reason: str = ""
    by: str = ""


def stages(lines: Sequence[Line]) -> list[Stage]:
    """The steps of the chain in the order in which they happened."""
    found: list[Stage] = []
    greeted = False
    first = previous = 0.0
    for line in lines:
        name = str(line["event"])
        if name == events.RESPONSE_AUDIO.name and not greeted:
            greeted, label = True, _FIRST_AUDIO
        elif name in STAGES:
            label = STAGES[name].format_map(
                {**dict.fromkeys(("status", "outcome", "dial_status", "verdict", "destination"), "?"), **line}
            )
        else:
            continue
        at = moment(line)
        first, previous = (first, previous) if found else (at, at)
        found.append(Stage(label, at - first, round((at - previous) * 1000)))
        previous = at
    return found


def ending(lines: Sequence[Line]) -> Ending:
    """How the call ended."""
    for line in reversed(lines):
        if line["event"] == events.CALL_ENDED.name:
            return Ending(str(line.get("reason", "")), str(line.get("by", "")))
    return Ending()


_COMPANY: Mapping[str, str] = {
    "stream_started": "agent",
    "bridged": "person",
    "say": "sentence",
    "recorded": "sentence",
}


def ended_with(lines: Sequence[Line]) -> str:
    """Who was last with the caller, by what the carrier saw: `person`, `agent`, `sentence` or `nothing`.

    A stream that had ended before the call did leaves the caller with nothing, unless its agent had said goodbye.
    """
    company, parting = "nothing", ending(lines).by == "agent"
    for line in lines:
        what = str(line.get("what", "")) if line["event"] == events.LINE.name else ""
        if what == "ended":
            break
        if what == "stream_stopped" and company == "agent" and not parting:
            company = "nothing"
        company = _COMPANY.get(what, company)
    return company


def sentence(lines: Sequence[Line]) -> str:
    """What truly happened, for a person to read. Nothing here knows what was meant to happen."""
    names = [str(line["event"]) for line in lines]
    if events.CALL_RECEIVED.name not in names:
        return "No call was received."
    clauses = [*_with_the_agent(lines), *_attempts(lines)]
    if events.STREAM_STARTED.name not in names:
        clauses.insert(0, "never reached the agent")
    clauses.append(_goodbye(lines))
    return f"The caller {_join([clause for clause in clauses if clause])}."


def _with_the_agent(lines: Sequence[Line]) -> list[str]:
    clauses = []
    counted = [str(line["event"]) for line in lines]
    if events.STREAM_STARTED.name in counted:
        clauses.append("spoke with the agent" if events.SPEECH_STARTED.name in counted else "was greeted by the agent")
    if times := counted.count(events.BARGE_IN.name):
        clauses.append("interrupted it" if times == 1 else f"interrupted it {times} times")
    if any(line.get("asks_for_person") for line in lines if line["event"] == events.KEY_PRESSED.name):
        clauses.append("pressed 0 for a person")
    return clauses


def _attempts(lines: Sequence[Line]) -> list[str]:
    clauses: list[str] = []
    told: set[object] = set()
    accepted: set[object] = set()
    asked, rung = 0.0, "a person"
    for index, line in enumerate(lines):
        name, request, to = line["event"], line.get("request_id"), line.get("destination", "a person")
        if name == events.HANDOFF_ASKED.name:
            asked = moment(line)
        elif name == events.TRANSFER_DIALLED.name:
            rung = str(to)
        elif name == events.TRANSFER_ACCEPTED.name:
            accepted.add(request)
        elif name == events.TRANSFER_ADVANCED.name:
            clauses.append(
                f"was sent to {rung}, which {_OUTCOMES.get(str(line.get('outcome')), 'did not take the call')}"
            )
        elif name == events.MESSAGE_TAKEN.name:
            clauses.append(f"left a message of {line.get('seconds', '?')} s for {to}")
        elif name == events.TRANSFER_BRIDGED.name and request not in told:
            told.add(request)
            after = f" {moment(line) - asked:.1f} s after asking" if asked else ""
            key = ", who accepted with a key," if request in accepted else ""
            clauses.append(f"was put through to {to}{key}{after}")
        elif name == events.TRANSFER_OVER.name and line.get("outcome") in _OUTCOMES and request not in told:
            told.add(request)
            back = any(later["event"] == events.STREAM_STARTED.name for later in lines[index:])
            returned = ", so came back to the agent" if back else ""
            clauses.append(f"was sent to {to}, which {_OUTCOMES[str(line['outcome'])]}{returned}")
        elif name == events.DEFAULT_PERSON.name:
            clauses.append(f"was put through to the default person ({line.get('why', 'no reason given')})")
    return clauses


def _goodbye(lines: Sequence[Line]) -> str:
    how = ending(lines)
    if not how.reason and not how.by:
        return "and nobody saw how it ended"
    doing = {
        "caller": "hung up",
        "agent": "stayed until the agent said goodbye",
        "person": "talked until the person hung up",
    }
    return doing.get(how.by, f"the call ended: {how.reason}")


def _join(clauses: Sequence[str]) -> str:
    if len(clauses) < 2:
        return "".join(clauses)
    last = clauses[-1].removeprefix("and ")
    return f"{', '.join(clauses[:-1])}, and {last}"
