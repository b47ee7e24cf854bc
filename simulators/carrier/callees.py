"""What a dialled party does, as data: answer and talk, be busy, let it ring, fail, decline, be a voicemail."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from simulators import audio
from simulators.carrier.line import LineDropped

if TYPE_CHECKING:
    from simulators.carrier.exchange import Exchange
    from simulators.carrier.line import Line

_NEVER: Final = 86400.0  # seconds; longer than any call may last

Answer = Literal["answers", "busy", "no-answer", "failed", "declines", "voicemail"]


@dataclass(frozen=True, slots=True)
class Callee:
    """A dialled party.

    Attributes:
        answer: What becomes of the ringing. "no-answer" rings until the caller's side gives up, whatever `after` says.
        after: Seconds of ringing before that.
        says: What is said once bridged, a text or mu-law; a voicemail says it whether or not anybody is bridged.
        talks_for: Seconds for which `says` is repeated, a second apart; None says it once.
        hangs_up_after: Seconds between being bridged and hanging up; None stays until the other side has gone.
        presses: Keys pressed once a whisper has been heard ("press 1 to accept").
        leaves_whisper: Hangs up in the middle of it instead.
    """

    answer: Answer = "answers"
    after: float = 2.0
    says: str | bytes = ""
    talks_for: float | None = None
    hangs_up_after: float | None = None
    presses: str = ""
    leaves_whisper: bool = False

    async def live(self, line: Line, exchange: Exchange) -> None:
        """Be on the line from answering to the end."""
        try:
            if self.answer == "voicemail":
                greeting = self.says or "You have reached our voicemail. Please leave a message after the tone."
                await line.say(await self._speech(greeting, exchange) + audio.tone([1000], 400))
            else:
                await self.screened(line)
            await line.connected_to_person()
            leaving = self._leaving(line)
            try:
                if self.says and self.answer != "voicemail":
                    await self._talk(line, await self._speech(self.says, exchange))
                await line.until(lambda: False)
            finally:
                leaving.cancel()
        except LineDropped:
            pass

    async def screened(self, line: Line) -> None:
        """Answer a whisper, if there is anything to answer it with."""
        if self.leaves_whisper:
            await line.hears(200)
            await line.hang_up()
        elif self.presses:
            await line.quiet(400)
            await line.press(self.presses)

    async def _talk(self, line: Line, speech: bytes) -> None:
        begun = line.ms
        await line.say(audio.silence(300) + speech)
        while self.talks_for is not None and line.ms - begun < self.talks_for * 1000:
            await line.say(audio.silence(1000) + speech)

    def _leaving(self, line: Line) -> asyncio.TimerHandle:
        assert line.hung_up is not None, "a leg's line tells its call"
        seconds = self.hangs_up_after if self.hangs_up_after is not None else _NEVER
        return asyncio.get_running_loop().call_later(seconds, line.hung_up)

    @staticmethod
    async def _speech(says: str | bytes, exchange: Exchange) -> bytes:
        return says if isinstance(says, bytes) else await exchange.speech(says, "PERSON")
