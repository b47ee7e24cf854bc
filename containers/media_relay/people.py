"""What the model is told about people: whom it connects to, how that went, who is closed until when, who else there is.

Pure; times are in seconds since the epoch. In English, as all instructions are: the model speaks the caller's language.
Each text says what is so, and then what to say: it stays in the conversation after it was said.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from contracts import hunt
from contracts.destination import Destination, Directory, Mode
from contracts.handoff import Attempt, Try
from contracts.hours import Schedule
from contracts.hunt import Ring, Step, TakeMessage, ToAgent
from contracts.transfer import Outcome

_WENT = {
    Outcome.BRIDGED: "has spoken with the caller and hung up",
    Outcome.BUSY: "was busy",
    Outcome.NO_ANSWER: "did not answer",
    Outcome.DECLINED: "could not take the call",
    Outcome.VOICEMAIL: "could not be reached, only an answering machine",
    Outcome.CLOSED: "is closed at the moment",
}
_TELL = "Tell the caller in one short sentence that"


def name(directory: Directory, key: str) -> str:
    """What the agent calls a destination, also when it is not listed any more."""
    destination = directory.destinations.get(key)
    return destination.name if destination else "nobody"


def went(directory: Directory, tries: Sequence[Try]) -> str:
    """How it went, in half a sentence: of each destination the last ring, with the reason that a person gave."""
    last = {one.destination: one for one in tries}
    return " and ".join(f"{name(directory, key)} {_how(one)}" for key, one in last.items())


def _how(one: Try) -> str:
    return _WENT.get(one.outcome, "could not be reached") + (f" ({one.note})" if one.note else "")


def attempt(directory: Directory, past: Attempt) -> str:
    """How a whole transfer went."""
    return went(directory, past.tries or [Try(past.destination, 0, past.outcome)])


def opens(schedule: Schedule, now: float) -> str:
    """When it opens, as one says it: "tomorrow at 09:00, New York time"; "" if not within a year."""
    opening = schedule.opens_at(now)
    if opening is None:
        return ""
    zone = ZoneInfo(schedule.time_zone)
    today, then = (datetime.fromtimestamp(at, zone) for at in (now, opening))
    days = (then.date() - today.date()).days
    week = f"on {then:%A}" if days < 7 else f"on {then:%A}, {then.day} {then:%B}"
    day = {0: "today", 1: "tomorrow"}.get(days, week)
    place = schedule.time_zone.rpartition("/")[2].replace("_", " ")
    return f"{day} at {then:%H:%M}, {place} time"


def closed(destination: Destination, now: float) -> str:
    """That a destination is closed, and until when."""
    until = opens(destination.schedule, now) if destination.schedule else ""
    return f"{destination.name} is closed now" + (f" and opens {until}" if until else "")


def others(directory: Directory, now: float, without: Collection[str]) -> str:
    """Who else can be reached now, as an offer that the agent can keep with its tool."""
    open_now, message = list[str](), list[str]()
    for key, one in directory.destinations.items():
        step = hunt.start(directory, key, now=now, with_agent=True)
        if key in without:
            continue
        if isinstance(step, Ring) and not step.passed:  # else it only passes on to another of these
            open_now.append(one.name)
        elif isinstance(step, TakeMessage):
            message.append(one.name)
    offers = [f"connect them to {' or '.join(open_now)}"] if open_now else []
    offers += [f"let them leave a message for {' or '.join(message)}"] if message else []
    return f"You can offer to {', or to '.join(offers)}." if offers else "Nobody else can be reached now."


def stays(directory: Directory, key: str, step: Step, now: float) -> str:
    """Why the agent goes on talking with a caller who was to go to `key`, and what to say; "": it does not."""
    if isinstance(step, ToAgent):
        shut = dict.fromkeys((*step.passed, key))
        why = " and ".join(closed(directory.resolve(one), now) for one in shut)
        return f"Nobody is being called: {why}. {_TELL} {why}. {others(directory, now, [*shut])}"
    if isinstance(step, Ring) and step.mode is Mode.ATTENDED:
        return company(f"{_passed(directory, step)}{step.destination.name}")
    return ""


def company(called: str) -> str:
    """What the agent says and does while a person is called."""
    return (
        f"{called} is being called now. {_TELL} {called} is being called. The caller stays with you meanwhile: keep "
        "them company. You will be told how it goes; until then do not say that anybody answered."
    )


def awaited(called: str) -> str:
    """What an agent knows that keeps a caller company since before this visit."""
    return (
        f"{called} is being called, and the caller, who knows it, waits with you. You will be told how it goes; until "
        "then do not say that anybody answered."
    )


def next_one(directory: Directory, tries: Sequence[Try], called: str) -> str:
    """What the agent says when somebody could not be reached and `called` is rung next."""
    how = went(directory, tries)
    return f"{how}; {called} is being tried next. {_TELL} {how}, and that {called} is being tried next."


def nobody(directory: Directory, tries: Sequence[Try], now: float, tried: Collection[str]) -> str:
    """What the agent says when nobody is called any more; `tried` are not offered again."""
    how, offer = went(directory, tries), others(directory, now, tried)
    return f"Nobody is being called any more: {how}. {_TELL} {how}. {offer}"


def farewell(directory: Directory, step: Step) -> str:
    """What the agent is asked to say as the caller leaves it for a person, or for what stands in for one."""
    match step:
        case Ring(destination):
            said = f"you are now connecting the caller to {destination.name}"
        case TakeMessage():
            said = "the caller can leave a message after the tone"
        case _:
            said = "nobody can take the call now"
    return f"Say in one short sentence that {_passed(directory, step)}{said}. Say nothing else."


def _passed(directory: Directory, step: Step) -> str:
    shut = " and ".join(name(directory, key) for key in step.passed)
    return f"{shut} is closed now and " if shut else ""


def back(directory: Directory, past: Attempt, now: float) -> str:
    """The first words to a caller who comes back from a transfer."""
    if past.outcome is Outcome.BRIDGED:
        spoken = name(directory, past.destination)
        return (
            f"The caller has spoken with {spoken}, who has hung up, and is back with you. "
            "Ask in one short sentence whether there is anything else you can do."
        )
    tried = attempt(directory, past)
    return (
        f"The caller is back with you because {tried}. Tell the caller in one sentence that {tried}, and ask whether "
        f"to try someone else or whether you can help. {others(directory, now, _tried(past))}"
    )


def _tried(past: Attempt) -> set[str]:
    return {past.destination, *(one.destination for one in past.tries)}
