"""Those who are rung: their lines, what they do, the rooms they meet in, and the REST requests that reach them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qs, urlencode, urlsplit

from functions.transfer.carrier import CallGone
from functions.voice_webhook.handler import Webhook
from simulators.carrier.twiml import Document, parse
from tests.functions.line import CALLED, CALLER, gateway_event, sign
from tests.functions.timeline import Killed
from tests.functions.world import ACCOUNT_SID, CALL_SID, ORIGIN, FakeCarrier, World

LIVE = {"queued", "ringing", "in-progress"}


class Setting(Protocol):
    """What a world has beside the common one: the webhook, and whether reports of calls apart are lost."""

    webhook: Webhook
    reports_lost: bool


@dataclass(frozen=True, slots=True)
class Person:
    """What somebody does who is rung: `key` None presses nothing; `voicemail` answers and does not listen."""

    answer: str = "answers"
    after: float = 3.0
    key: str | None = "1"
    talks: float = 20.0
    patience: float = 60.0  # seconds alone in a room before hanging up


@dataclass(slots=True)
class Leg:
    sid: str
    to: str
    status: str = "queued"
    callback: str = ""
    visible_at: float = 0.0
    made_at: float = 0.0
    apart: bool = False
    heard: list[str] = field(default_factory=list)
    room: str = ""


class Persons(FakeCarrier):
    """The persons' side of an exchange; `people` are by address, anybody else cannot be reached."""

    def __init__(self, world: World, setting: Setting) -> None:
        super().__init__(world)
        self.world = world
        self.setting = setting
        self.people: dict[str, Person] = {}
        self.legs_by_sid: dict[str, Leg] = {}
        self.heard: list[str] = []
        self.fate = "with the agent"
        self.rung: Counter[tuple[str, str, str]] = Counter()
        self.bridged: list[str] = []
        self.rooms: dict[str, set[str]] = {}
        self.recorded: list[str] = []
        self.waited_from: float | None = None
        self.longest_wait = 0.0
        self.completed_bridges_report = "completed"
        self.queue_result = "bridged"
        self.create_faults: list[Exception | None] = []

    # What the transfer function asks.

    def call(self, *, to: str, from_: str, url: str, status_url: str, seconds: int) -> str:
        return self.world.boundary("rest.call", lambda: self._make(to, from_, url, status_url, seconds))

    def calls(self, *, to: str, from_: str, since: float) -> list[str]:
        assert from_ == CALLED

        def find() -> list[str]:
            now = self.world.timeline.now
            legs = [leg for leg in self.legs_by_sid.values() if leg.apart and leg.to == to]
            return [leg.sid for leg in legs if leg.made_at >= since and leg.visible_at <= now]

        return self.world.boundary("rest.calls", find)

    def status(self, call_sid: str) -> str:
        return self.world.boundary("rest.status", lambda: self.legs_by_sid[call_sid].status)

    def hang_up(self, call_sid: str) -> None:
        leg = self.legs_by_sid[call_sid]

        def end() -> None:
            if leg.status not in LIVE:
                raise CallGone(400, 21220)
            self._end_leg(leg, "completed")

        self.world.boundary("rest.hang_up", end)

    def participants(self, room: str) -> list[str]:
        return self.world.boundary("rest.participants", lambda: sorted(self.rooms.get(room, set())))

    def update(self, call_sid: str, twiml: str) -> None:
        if call_sid == CALL_SID:
            super().update(call_sid, twiml)
        else:
            self.world.boundary("rest.update_leg", lambda: self._update_leg(self.legs_by_sid[call_sid], twiml))

    def _make(self, to: str, from_: str, url: str, status_url: str, seconds: int) -> str:
        assert from_ == CALLED
        fault = self.create_faults.pop(0) if self.create_faults else None
        acts = fault is None or getattr(fault, "acted", False)
        sid = ""
        if acts:
            leg = self._new_leg(to, status_url, apart=True)
            sid = leg.sid
            query = parse_qs(urlsplit(url).query)
            self.rung[("call", query["request"][0] + "/" + query["hop"][0], to)] += 1
            self._later(0.0, lambda: self._ring(leg, seconds, lambda: self._attend(leg, url), lambda _: None))
        if fault is not None:
            raise fault
        return sid

    def _update_leg(self, leg: Leg, twiml: str) -> None:
        if leg.status != "in-progress":
            raise CallGone(400, 21220)
        self._leave(leg)
        self._run_leg(leg, parse(twiml))

    # People's calls.

    def _new_leg(self, to: str, callback: str, *, apart: bool) -> Leg:
        now = self.world.timeline.now
        leg = Leg(f"CA{len(self.legs_by_sid) + 1:032x}", to, "ringing", callback, now + self.world.lag(), now, apart)
        self.legs_by_sid[leg.sid] = leg
        self._report(leg, "initiated")
        return leg

    def _ring(self, leg: Leg, seconds: float, answered: Callable[[], None], over: Callable[[str], None]) -> None:
        person = self.people.get(leg.to, Person("failed", 0.5))
        self.world.timeline.sleep(min(person.after, seconds) if person.answer != "no-answer" else seconds)
        if leg.status not in LIVE:
            return
        if person.answer in {"busy", "failed", "no-answer"} or person.after > seconds:
            status = person.answer if person.answer in {"busy", "failed"} else "no-answer"
            self._end_leg(leg, status)
            over(status)
            return
        leg.status = "in-progress"
        self._report(leg, "in-progress")
        answered()

    def _consents(self, leg: Leg, url: str) -> bool:
        """A whisper: whether the leg comes to the end of its documents alive."""
        document = self._ask_leg(leg, url)
        while document is not None and leg.status in LIVE:
            step = self._step_of_leg(leg, document)
            if step is None:
                return False
            if step == "":
                return True
            document = self._ask_leg(leg, step, key=self.people[leg.to].key or "")
        return False

    def _step_of_leg(self, leg: Leg, document: Document) -> str | None:
        """Where a document of a person leads: a URL, "" (its end), or None (the leg is over, or elsewhere)."""
        for verb in document.verbs:
            if leg.status not in LIVE:
                return None
            match verb.name:
                case "Say":
                    leg.heard.append(verb.text)
                    self.world.timeline.sleep(2.0)
                case "Gather":
                    leg.heard.extend(child.text for child in verb.children)
                    self.world.timeline.sleep(4.0 if self.people[leg.to].key else 11.0)
                    if self.people[leg.to].answer == "leaves":
                        self._end_leg(leg, "completed")
                    return verb.get("action") if leg.status in LIVE else None
                case "Hangup":
                    self._end_leg(leg, "completed")
                    return None
                case "Dial":
                    self._enter(verb.children[0].text, leg.sid)
                    return None
                case _:
                    raise AssertionError(verb.name)
        return ""

    def _attend(self, leg: Leg, url: str) -> None:
        document = self._ask_leg(leg, url)
        while document is not None and leg.status in LIVE:
            step = self._step_of_leg(leg, document)
            if step is None:
                return
            if step == "":
                self._end_leg(leg, "completed")
                return
            document = self._ask_leg(leg, step, key=self.people[leg.to].key or "")

    def _run_leg(self, leg: Leg, document: Document) -> None:
        for verb in document.verbs:
            if verb.name == "Say":
                leg.heard.append(verb.text)
        self._end_leg(leg, "completed")

    def _end_leg(self, leg: Leg, status: str) -> None:
        if leg.status not in LIVE:
            return
        leg.status = status
        self._leave(leg)
        self._report(leg, status)

    def _report(self, leg: Leg, status: str) -> None:
        if not leg.callback or (self.setting.reports_lost and leg.apart):
            return
        more = {} if leg.apart else {"ParentCallSid": CALL_SID}
        fields = {"CallSid": leg.sid, "CallStatus": status, **more}
        self._later(self.world.rng.uniform(0.05, 0.4), lambda: self._post(leg.callback, **fields))

    # Rooms.

    def _enter(self, room: str, sid: str) -> None:
        members = self.rooms.setdefault(room, set())
        members.add(sid)
        if sid != CALL_SID:
            self.legs_by_sid[sid].room = room
        if CALL_SID in members and len(members) > 1:
            person = next(one for one in members if one != CALL_SID)
            self.bridged.append(self.legs_by_sid[person].to)
            self._stop_waiting()
            self.fate = "with a person"
            talks = self.people[self.legs_by_sid[person].to].talks
            self._later(talks, lambda: self._part(person))
        elif sid != CALL_SID:
            patience = self.people[self.legs_by_sid[sid].to].patience
            self._later(patience, lambda: self._alone(room, sid))

    def _alone(self, room: str, sid: str) -> None:
        if self.rooms.get(room) == {sid}:
            self._end_leg(self.legs_by_sid[sid], "completed")

    def _part(self, sid: str) -> None:
        if self.legs_by_sid[sid].status in LIVE:
            self._end_leg(self.legs_by_sid[sid], "completed")

    def _leave(self, leg: Leg) -> None:
        room, leg.room = leg.room, ""
        if room and leg.sid in self.rooms.get(room, set()):
            self.rooms[room].discard(leg.sid)
            self._close(room)

    def _close(self, room: str) -> None:
        """Somebody with endConferenceOnExit has left."""
        members = self.rooms.pop(room, set())
        for sid in members:
            if sid != CALL_SID:
                self._end_leg(self.legs_by_sid[sid], "completed")
                continue
            request, _, hop = room.partition("-")
            url = f"{ORIGIN}/voice/dial-ended?request={request}&visit=1&hop={hop}"
            self._ask_caller(url, {"DialCallStatus": "answered"}, self.document)

    # Questions.

    def _ask_leg(self, leg: Leg, url: str, key: str | None = None) -> Document | None:
        fields = {"CallSid": leg.sid} | ({"Digits": key} if key is not None else {})
        for _ in range(2):
            answer = self._post(url, **fields)
            if answer is not None:
                return parse(answer, url=url)
        self._end_leg(leg, "completed")
        return None

    def _post(self, url: str, **fields: str) -> str | None:
        """The webhook's answer; None if it died."""
        target = url if url.startswith("http") else f"{ORIGIN}{url}"
        form = {"CallSid": CALL_SID, "AccountSid": ACCOUNT_SID, "From": CALLER, "To": CALLED}
        form |= {"CallStatus": "in-progress"} | fields
        event = gateway_event(target, urlencode(form), {"x-twilio-signature": sign(target, form)})
        try:
            answer = self.setting.webhook.handle(event)
        except Killed:
            return None
        assert answer["statusCode"] in {200, 204}, (url, answer)
        return str(answer["body"])

    def _later(self, seconds: float, run: Callable[[], object]) -> None:
        self.world.timeline.at(seconds, lambda: void(run()))

    def _ask_caller(self, url: str, fields: dict[str, str], document: int) -> None:
        raise NotImplementedError

    def _start_waiting(self) -> None:
        raise NotImplementedError

    def _stop_waiting(self) -> None:
        raise NotImplementedError


def void(_: object) -> None:
    """What a task leaves behind."""
