"""Calls side by side, each with octets and words of its own, that drop and return: `python -m tests.fuzz.marks [RUNS]`.

Caller and model look at every octet and word that reaches them over real sockets. Whatever is not of their own call,
nor one of the relay's own sounds, is foreign. Both ways: a model answers with the mark it hears, so a call that is led
to another's model would be noticed by its caller.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from containers.media_relay import clips, ringback
from contracts.row import StreamState
from contracts.sentences import LANGUAGES
from tests.containers.media_relay.house import GUARD, FakeModel, House, Phone, house

RUNS, CALLS = 10, 200
FRAME, DELTA = 40, 100  # marks, of four octets
PACE = 0.1  # seconds between a caller's frames: two processors carry no more of two hundred callers in Python
APPENDS_A_TURN = 4
MOST_READY = 5  # frames that a caller speaks until a model is ready
MOST_VISITS = 3
OUR_SOUNDS: Final = b"".join(
    map(base64.b64decode, [ringback.payload(), *(clips.one_moment(language).payload for language in LANGUAGES)])
)
_words = re.compile(r"mark-(\d{4})").findall


def octets(number: int, marks: int) -> str:
    """So much audio of a call, in base64: four octets that name it, over and over."""
    return base64.b64encode((b"\x90" + number.to_bytes(2, "big") + b"\x10") * marks).decode()


def words(number: int) -> str:
    """What is said in a call."""
    return f"This is mark-{number:04}."


class Tally:
    """What reached whom, in octets of audio and in texts."""

    def __init__(self) -> None:
        self.own = self.foreign = self.texts = self.drops = self.returns = self.unheard = 0

    def add(self, other: Tally) -> None:
        """With another's."""
        for name, count in vars(other).items():
            setattr(self, name, getattr(self, name) + count)

    def audio(self, payload: str, number: int, ours: bytes = b"") -> None:
        """Audio that reached somebody in a call; `ours`: what may be there besides."""
        heard = base64.b64decode(payload)
        if payload == octets(number, len(heard) // 4):
            self.own += len(heard)
        elif heard not in ours:
            self.foreign += len(heard)

    def text(self, text: str, number: int) -> None:
        """A text that reached somebody in a call."""
        self.texts += any(int(found) != number for found in _words(text))

    def __str__(self) -> str:
        return (
            f"{self.own} own octets, {self.drops} models dropped, {self.returns} returns, {self.unheard} unheard, "
            f"{self.texts} foreign texts, {self.foreign} foreign octets"
        )


class MarkedModel(FakeModel):
    """Answers in the octets and words of whom it hears first. `dropping`: the calls whose next turn it breaks off.

    It takes its time to be ready, so that the relay keeps what callers say meanwhile.
    """

    def __init__(self, tally: Tally, chance: random.Random, pace: float) -> None:
        super().__init__()
        self.tally = tally
        self.chance = chance
        self.pace = pace
        self.dropping: set[int] = set()

    async def _talk(self, connection: ServerConnection) -> None:
        serves, appends, before = 0, 0, list[str]()
        await self.say("session.created", connection, session={})
        with suppress(ConnectionClosed):
            async for text in connection:
                event: dict[str, Any] = json.loads(text)
                if event["type"] == "session.update":
                    await asyncio.sleep(self.chance.uniform(0, MOST_READY * self.pace))
                    await self._updated(connection, event)
                if event["type"] != "input_audio_buffer.append":
                    before.append(str(text))
                    continue
                serves = serves or _number(event["audio"])
                self.tally.audio(event["audio"], serves)
                appends += 1
                if appends % APPENDS_A_TURN == 0:
                    await self._turn(connection, serves, f"{len(self.connections)}_{appends}")
        named = [number for one in before for number in map(int, _words(one))]
        self.tally.texts += len({serves or named[0], *named}) - 1 if named else 0  # it may have heard nobody

    async def _turn(self, connection: ServerConnection, number: int, turn: str) -> None:
        """The caller has spoken, the agent answers."""
        for kind in ("speech_started", "speech_stopped", "committed"):
            await self.say(f"input_audio_buffer.{kind}", connection, item_id=f"user_{turn}", audio_start_ms=0)
        heard = {"item_id": f"user_{turn}", "content_index": 0, "transcript": words(number)}
        await self.say("conversation.item.input_audio_transcription.completed", connection, **heard)
        response = {"id": f"resp_{turn}", "status": "in_progress"}
        await self.say("response.created", connection, response=response)
        where = {"response_id": f"resp_{turn}", "item_id": f"item_{turn}", "output_index": 0, "content_index": 0}
        await self.say("response.output_audio.delta", connection, **where, delta=octets(number, DELTA))
        if number in self.dropping:
            self.dropping.remove(number)
            self.tally.drops += 1
            connection.transport.abort()
            return
        await self.say("response.output_audio_transcript.done", connection, **where, transcript=words(number))
        done = response | {"status": "completed", "output": [], "usage": {"input_tokens": 5}}
        await self.say("response.done", connection, response=done)


def _number(audio: str) -> int:
    return int.from_bytes(base64.b64decode(audio[:8])[1:3], "big")


@asynccontextmanager
async def speaking(phone: Phone, number: int, other: int, pace: float) -> AsyncIterator[None]:
    """A caller who speaks all the while; now and then there is a frame of another's stream on the same socket."""

    async def speak() -> None:
        with suppress(ConnectionClosed):
            for frame in range(10_000):
                await phone.speak(octets(number, FRAME))
                if frame % 8 == 4:
                    await phone.speak(octets(other, FRAME), streamSid=f"MZ{other:032x}")
                await asyncio.sleep(pace)

    task = asyncio.create_task(speak())
    try:
        yield
    finally:
        task.cancel()


async def visit(model: MarkedModel, phone: Phone, number: int, chance: random.Random) -> None:
    """One stream of a call: heard, perhaps broken off at the model's side, and heard again."""
    async with speaking(phone, number, number + 1, model.pace):
        await phone.start()
        await phone.hear("media")
        if chance.random() < 0.6:
            model.dropping.add(number)
            while number in model.dropping:
                await phone.hear("media")
            for _ in range(2):
                await phone.hear("media")


async def call(home: House, model: MarkedModel, number: int, chance: random.Random) -> None:
    """One call of up to three streams, the last of which ends well."""
    call_sid, path = home.offer()
    visits = chance.randint(1, MOST_VISITS)
    for one in range(1, visits + 1):
        async with home.dial(path) as socket:
            phone = Phone(socket, call_sid, stream_sid=f"MZ{one:016x}{number:016x}")
            try:
                await visit(model, phone, number, chance)
            except TimeoutError:
                model.tally.unheard += 1
            if one == visits:
                await phone.send("stop", stop={})
            else:
                model.tally.returns += 1
                socket.transport.abort()
            await phone.closed()
        judge(model.tally, number, phone)
        await ended(home, call_sid)
        path = home.offer_again(call_sid, one + 1)
    row = home.ledger.read(call_sid)
    for turn in row.conversation if row else ():
        model.tally.text(turn.text, number)


def judge(tally: Tally, number: int, phone: Phone) -> None:
    """All that reached a caller on a stream."""
    for message in phone.got:
        if message["event"] == "media":
            tally.audio(message["media"]["payload"], number, OUR_SOUNDS)
        tally.texts += message["streamSid"] != phone.stream_sid


async def ended(home: House, call_sid: str) -> None:
    """Wait until the ledger knows that the stream is over: only then Twilio asks what is next."""
    async with asyncio.timeout(GUARD):
        while (row := home.ledger.read(call_sid)) and row.stream.state is not StreamState.ENDED:  # noqa: ASYNC110 - a ledger tells nobody
            await asyncio.sleep(0.01)


async def run(calls: int, seed: int, pace: float = PACE) -> Tally:
    """So many calls at once, to their ends; `pace`: seconds between a caller's frames."""
    tally = Tally()
    model = MarkedModel(tally, random.Random(seed), pace)
    async with house(model=model) as home:
        chances = [random.Random(f"{seed} {number}") for number in range(1, calls + 1)]
        await asyncio.gather(*(call(home, model, number, chance) for number, chance in enumerate(chances, 1)))
    return tally


def main() -> int:
    """Returns the exit status."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    whole = Tally()
    for seed in range(runs):
        tally = asyncio.run(run(CALLS, seed))
        whole.add(tally)
        print(f"{CALLS} calls, seed {seed}: {tally}", flush=True)  # noqa: T201 - the program's output
    print(json.dumps({"calls": runs * CALLS, **vars(whole)}))  # noqa: T201 - for the campaign
    return 1 if whole.foreign or whole.texts or whole.unheard else 0


if __name__ == "__main__":
    sys.exit(main())
