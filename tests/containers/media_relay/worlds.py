"""A small Twilio and a small model around one session: they keep time, remember, and object to what must not happen."""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from containers.media_relay import actions, agent, clips, media_streams, realtime, ringback
from containers.media_relay.actions import Action, SessionEvent
from containers.media_relay.handoffs import Call
from containers.media_relay.ladder import KEPT_FRAMES
from containers.media_relay.session import Session
from containers.media_relay.silence import NEVER
from contracts import agent_file, events
from contracts.agent_file import AgentFile
from contracts.handoff import Then, Transfer, TransferState
from contracts.transfer import TransferRequest

AGENT_FILE = agent_file.load(Path(__file__).parents[3] / "agent.yaml")
CALL_SID, ACCOUNT_SID, STREAM_SID = "CA" + "1" * 32, "AC" + "2" * 32, "MZ" + "3" * 32
CALL_SECONDS = 600.0
WALL = 1_795_341_600.0  # 2026-11-22 10:00 UTC, a Sunday
_WEEK = {"time_zone": "Europe/Berlin", "open": {"mon-fri": "09:00-17:00"}}
_PHONES = [{"phone": "+15550100001"}, {"phone": "+15550100004"}]
PEOPLE_FILE = AgentFile.model_validate(
    {
        "persona": "You are helpful.",
        "greeting": "Hello.",
        "hours": {"week": _WEEK},
        "destinations": {
            "billing": {"name": "the billing team", "description": "Bills", "targets": _PHONES, "mode": "attended"}
            | {"key": "2"},
            "support": {"name": "technical support", "description": "Outages", "number": "+15550100002"}
            | {"hours": "week", "key": "3"},
            "sales": {"name": "the sales team", "description": "Contracts", "number": "+15550100005", "hours": "week"}
            | {"disposition": {"closed": "voicemail"}},
            "director": {"name": "the director", "description": "Complaints", "number": "+15550100006", "hours": "week"}
            | {"disposition": {"closed": "billing"}},
            "reception": {"name": "our reception", "description": "All else", "number": "+15550100003"},
        },
        "default_destination": "reception",
        "voicemail": {"greeting": "Please speak.", "deliver": {"email": "desk@example.com"}},
        "escalation": {"max_call_cost_usd": 0.5, "extra_phrases": ["bring out the boss"]},
    }
)
"""On a Sunday: billing is attended, support closed, sales takes messages, the director passes on to billing."""
TO_MODEL = (
    realtime.UpdateSession,
    realtime.Append,
    realtime.CreateResponse,
    realtime.CancelResponse,
    realtime.Truncate,
    realtime.CreateItem,
    realtime.FunctionOutput,
)


def audio(octets: int) -> str:
    """So many octets of mu-law with a sound in it, in base64."""
    return base64.b64encode(b"\x90" * octets).decode()


def silence(octets: int) -> str:
    """The same of no amplitude."""
    return base64.b64encode(b"\xff" * octets).decode()


def start(**changes: object) -> media_streams.Start:
    """Twilio's `start` for the call of these tests."""
    fields: dict[str, object] = {
        "stream_sid": STREAM_SID,
        "call_sid": CALL_SID,
        "account_sid": ACCOUNT_SID,
        "parameters": {},
    }
    return media_streams.Start(**(fields | changes))  # type: ignore[arg-type]


def brief(past: agent.Past | None = None, file: AgentFile = AGENT_FILE) -> agent.Brief:
    """What the repository's own agent, or another, is told on a Sunday morning."""
    return agent.brief(file, past or agent.Past(), WALL)


def session(now: float = 0.0, file: AgentFile = AGENT_FILE, past: agent.Past | None = None) -> Session:
    """A session whose call may take ten minutes."""
    return Session(Call(CALL_SID, ACCOUNT_SID, now + CALL_SECONDS, epoch=WALL - now), brief(past, file), now)


@dataclass
class Buffer:
    """Twilio's playout buffer: audio in order, in real time; marks echoed when reached, or by `clear`."""

    played_until: float = 0.0  # when all that was sent will have played
    frames: list[tuple[str, float, float]] = field(default_factory=list)  # item, from, to
    marks: list[tuple[float, str]] = field(default_factory=list)  # when the echo is due, name

    def add(self, item_id: str, octets: int, now: float) -> None:
        begins = max(now, self.played_until)
        self.played_until = begins + octets / 8000
        self.frames.append((item_id, begins, self.played_until))

    def mark(self, name: str, now: float) -> None:
        self.marks.append((max(now, self.played_until), name))

    def clear(self, now: float) -> None:
        self.frames = [(item, begins, min(ends, now)) for item, begins, ends in self.frames if begins < now]
        self.marks = [(min(at, now), name) for at, name in self.marks]
        self.played_until = min(self.played_until, now)

    def heard_ms(self, item_id: str, now: float) -> float:
        return sum(
            1000 * (min(ends, now) - begins) for item, begins, ends in self.frames if item == item_id and begins < now
        )


class World:
    """One session, told of events, its actions carried out and judged. Time moves in `pass_time` only."""

    def __init__(self, echo_delay: float = 0.0, file: AgentFile = AGENT_FILE, past: agent.Past | None = None) -> None:
        self.now = 1000.0
        self.session = session(self.now, file, past)
        self.echo_delay = echo_delay
        self.twilio = Buffer()
        self.sent_octets: Counter[str] = Counter()
        self.mark_names: set[str] = set()
        self.saying = ""  # the item whose audio is being told
        self.model_open = False
        self.model_closed = False
        self.ready = False
        self.stream_closed = False
        self.probes = 0  # signs of life that were asked for
        self.wanted, self.connects = False, 0  # whether a session was asked for, and how often another one
        self.unheard: list[str] = []  # the caller's audio while there was none
        self.creates: list[realtime.CreateResponse] = []  # not answered yet
        self.active = ""
        self.restarts = 0
        self.transfers: list[actions.QueueTransfer] = []
        self.unattended = False  # a request has left, and the caller with it
        self.left = False  # the agent has nothing more to say
        self.transfer: Transfer | None = None  # as the ledger has it
        self.then: Then | None = None
        self.asked_open = False  # a request that the session does not know to be over
        self.reads: list[float] = []  # when the ledger was asked, and has not answered
        self.answer_delay = NEVER  # seconds that the ledger takes in `pass_time`
        self.ends: list[actions.RecordEnd] = []
        self.answered: Counter[str] = Counter()
        self.told_calls: set[str] = set()
        self.cleared_items: set[str] = set()
        self.done: list[Action] = []
        self.polite = True
        self.due = False  # the event came when time had come, too

    @property
    def calling(self) -> Transfer | None:
        """The request that the functions work on while the caller is with the agent."""
        transfer = self.transfer if self.session.attended and not self.left else None
        return transfer if transfer and transfer.state is not TransferState.OVER else None

    # What is told.

    def tell(self, event: SessionEvent) -> list[Action]:
        was_over = self.session.over
        self.saying = event.item_id if isinstance(event, realtime.AudioDelta) else ""
        before, self.due = self.session.departure, self.session.deadline <= self.now
        performed = self.session.handle(event, self.now)
        assert not (was_over and performed), "nothing after the end"
        for action in performed:
            if isinstance(action, realtime.Append):
                assert before is None, "no audio to the model once the caller is leaving it"
                if isinstance(event, media_streams.Media):
                    assert action.audio == event.payload, "audio is passed on unchanged"
                else:
                    assert self.unheard.pop(0) == action.audio, "what was kept for another session, in order"
            self.perform(action)
        if isinstance(event, media_streams.Media) and not performed:
            self.unheard = [*self.unheard, event.payload][-KEPT_FRAMES:] if self.session.ladder.out else []
        assert self.session.over or self.session.deadline < NEVER, "somebody is waiting without a deadline"
        return performed

    def answer(self, *, readable: bool = True) -> list[Action]:
        """The ledger answers what it was asked first."""
        self.reads.pop(0)
        over = readable and self.transfer is not None and self.transfer.state is TransferState.OVER
        if over and self.then in {None, Then.AGENT} and not self.session.departure:
            self.asked_open = False
        return self.tell(actions.TransferNews(self.transfer if readable else None, self.then))

    def pass_time(self, seconds: float) -> None:
        """Let time pass: echoes, the ledger's answers and ticks come in their order."""
        until, still = self.now + seconds, 0
        while True:
            echo = self.twilio.marks[0][0] + self.echo_delay if self.twilio.marks else NEVER
            tick = NEVER if self.session.over else self.session.deadline
            news = self.reads[0] + self.answer_delay if self.reads else NEVER
            at = min(echo, tick, news)
            if at > until:
                break
            still = 0 if at > self.now else still + (at == tick)
            assert still < 20, "the deadline stands still: the timer would spin"
            self.now = max(self.now, at)
            if news <= min(echo, tick):
                self.answer()
            elif echo <= tick:
                self.tell(media_streams.Mark(STREAM_SID, self.twilio.marks.pop(0)[1]))
            else:
                self.tell(actions.Tick())
        self.now = until

    # What is asked for.

    def perform(self, action: Action) -> None:  # noqa: C901 - the table of actions
        self.done.append(action)
        if isinstance(action, media_streams.Media | media_streams.Mark | media_streams.Clear):
            self._to_twilio(action)
        elif isinstance(action, TO_MODEL):
            self._to_model(action)
        elif isinstance(action, actions.QueueTransfer):
            self._queued(action)
        elif isinstance(action, actions.ReadTransfer):
            assert self.asked_open, "there is a request to ask about"
            assert not self.reads, "one question at a time"
            self.reads.append(self.now)
        elif isinstance(action, actions.RecordEnd):
            self.ends.append(action)
            self.left = True
        elif isinstance(action, actions.ConnectModel):
            assert not self.left, "an agent is looked for while there is something to say"
            assert self.session.speech.stream_sid, "nothing is paid for before `start` has named the call"
            self.connects += self.wanted
            self.wanted = True
            self.model_open = self.model_closed = self.ready = False
            self.active = ""
            self.creates.clear()
        elif isinstance(action, actions.CloseModel):
            self.model_closed = self.left = True
        elif isinstance(action, actions.CloseStream):
            assert not self.stream_closed, "closed once"
            self.stream_closed = True
        elif isinstance(action, actions.Log):
            assert action.fields.keys() <= action.event.fields, f"{action.event} has no such field"
            if action.event is events.HANDOFF_ASKED:
                assert action.fields["destination"] in self.session.brief.destinations

    def _queued(self, action: actions.QueueTransfer) -> None:
        assert not self.asked_open, "one request at a time"
        assert self.session.speech.stream_sid, "a call is transferred once its stream is up"
        assert action.to.destination in self.session.brief.destinations
        self.transfers.append(action)
        self.asked_open, self.left = True, self.session.attended is None
        self.unattended |= self.left
        to, now = action.to, self.now + self.session.call.epoch
        names = {"call_sid": CALL_SID, "destination": to.destination, "reason": to.reason, "summary": to.summary}
        self.transfer, self.then = Transfer(TransferRequest.create(**names, now=now)), None  # type: ignore[arg-type]

    def _to_twilio(self, action: media_streams.Media | media_streams.Mark | media_streams.Clear) -> None:
        assert action.stream_sid == STREAM_SID, "nothing is sent before `start` has named the stream"
        assert not self.stream_closed
        if isinstance(action, media_streams.Media):
            ours = {ringback.payload(): ringback.ITEM, self.session.brief.line.payload: clips.ITEM}
            item = ours.get(action.payload, self.saying)
            assert item == ringback.ITEM or not self.left, "the agent is mute once the request has left"
            octets = len(base64.b64decode(action.payload, validate=True))
            self.twilio.add(item, octets, self.now)
            self.sent_octets[item] += octets
        elif isinstance(action, media_streams.Mark):
            assert action.name not in self.mark_names, "marks are unique"
            self.mark_names.add(action.name)
            self.twilio.mark(action.name, self.now)
        else:
            self.twilio.clear(self.now)

    def _to_model(self, action: Action) -> None:
        assert not self.model_closed, "the model's socket was closed"
        assert self.model_open, "the model's socket is not open yet"
        if not isinstance(action, realtime.UpdateSession):
            assert self.ready, "nothing but the settings before `session.updated` with audio/pcmu"
        assert not self.left, "nothing to the model once the request has left"
        if isinstance(action, realtime.Truncate):
            heard = self.twilio.heard_ms(action.item_id, self.now)
            assert action.audio_end_ms <= self.sent_octets[action.item_id] // 8, "never more than was sent"
            assert action.audio_end_ms <= heard + 1 or not self.polite, "never more than can have been heard"
            if not self.echo_delay and self.polite:
                assert action.audio_end_ms >= heard - 2, "all that was heard, when marks come back at once"
            assert action.item_id not in self.cleared_items or not self.polite, "an item is cut once"
            self.cleared_items.add(action.item_id)
        elif isinstance(action, realtime.UpdateSession):
            self.probes += self.ready
        elif isinstance(action, realtime.CreateResponse):
            self._created(action)
        elif isinstance(action, realtime.FunctionOutput):
            self.answered[action.call_id] += 1
            assert self.answered[action.call_id] == 1, "a tool call is answered once"
            assert action.call_id in self.told_calls

    def _created(self, create: realtime.CreateResponse) -> None:
        if self.polite:
            assert not self.active, "one response at a time"
            allowed = 1 if self.due else 0  # what hangs may be asked for again
            assert len(self.creates) <= allowed + self.restarts, "one response is asked for at a time"
            self.restarts += len(self.creates)
        self.creates.append(create)
