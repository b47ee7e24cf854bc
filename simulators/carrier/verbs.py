"""The verbs that need nobody else: speech, pauses, keys, recordings, and going elsewhere.

Each takes the call, itself and its document, and returns where it leads; None is on to the next verb.
https://www.twilio.com/docs/voice/twiml
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from simulators import audio
from simulators.carrier.call import End, Fetch
from simulators.carrier.exchange import new_sid
from simulators.carrier.line import AUDIBLE_DBFS, FRAME_MS, dtmf
from simulators.carrier.resource import API_VERSION
from simulators.carrier.twiml import Malformed, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators.carrier.call import Call, Step
    from simulators.carrier.documents import Verbs
    from simulators.carrier.twiml import Document, Element

_FOREVER: Final = 1000  # https://www.twilio.com/docs/voice/twiml/play: loop="0" repeats up to 1000 times


def follow(verb: Element, document: Document, extra: Mapping[str, str]) -> Fetch | None:
    """The verb's `action`, if it has one, asked with these parameters."""
    if "action" not in verb.attributes:
        return None
    return Fetch(resolve(document.url, verb.get("action")), verb.get("method", "POST"), dict(extra))


async def say(call: Call, verb: Element, document: Document) -> Step | None:
    """`<Say>`: the operator's voice."""
    del document
    speech = await call.exchange.speech(verb.text, "OPERATOR")
    call.note("say", verb.text)
    for _ in range(int(verb.number("loop", 1)) or _FOREVER):
        await call.open_line.play(speech)
    return None


async def play(call: Call, verb: Element, document: Document) -> Step | None:
    """`<Play>`: a WAV file or raw mu-law from a URL, or the tones of `digits` ("w" waits half a second)."""
    if verb.get("digits"):
        sound = b"".join(audio.silence(500) if key == "w" else dtmf(key) for key in verb.get("digits"))
    else:
        answer = await call.exchange.webhooks.ask(resolve(document.url, verb.text), {}, "GET")
        if answer.content_type in {"audio/basic", "audio/x-mulaw", "audio/ulaw"}:
            sound = answer.body
        else:
            try:
                sound = audio.from_wav(answer.body)
            except audio.NotAudio as error:
                raise Malformed(12300, f"<Play>: {answer.content_type}: {error}") from error
    for _ in range(int(verb.number("loop", 1)) or _FOREVER):
        await call.open_line.play(sound)
    return None


async def pause(call: Call, verb: Element, document: Document) -> Step | None:
    """`<Pause>`: silence, one second unless told."""
    del document
    await call.open_line.play(audio.silence(int(verb.number("length", 1) * 1000)))
    return None


async def redirect(call: Call, verb: Element, document: Document) -> Step | None:
    """`<Redirect>`: another document."""
    del call
    return Fetch(resolve(document.url, verb.text), verb.get("method", "POST"))


async def hang_up(call: Call, verb: Element, document: Document) -> Step | None:
    """`<Hangup>`."""
    del call, verb, document
    return End()


async def reject(call: Call, verb: Element, document: Document) -> Step | None:
    """`<Reject>`: refuse a call not yet answered."""
    del document
    if call.status == "in-progress":
        return End()
    return End("busy" if verb.get("reason") == "busy" else "failed")


async def gather(call: Call, verb: Element, document: Document) -> Step | None:
    """`<Gather>`: keys, also while its prompts play. Speech is not recognised and counts as none."""
    line = call.open_line
    keys: list[str] = []
    finish = verb.get("finishOnKey", "#")
    wanted = int(verb.number("numDigits", 1000))
    last_ms = 0

    def pressed(key: str) -> None:
        nonlocal last_ms
        last_ms = line.ms
        keys.append(key)

    def complete() -> bool:
        return bool(keys) and (len(keys) >= wanted or keys[-1] in finish)

    async def prompts() -> None:
        for child in verb.children:
            await {"Say": say, "Play": play, "Pause": pause}[child.name](call, child, document)

    with line.connect(keys=pressed):
        prompting = asyncio.ensure_future(prompts())
        prompting.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            await line.until(lambda: bool(keys) or prompting.done())
        finally:
            prompting.cancel()
        if not keys:
            await prompting
        last_ms = max(last_ms, line.ms if not keys else 0)
        timeout_ms = verb.number("timeout", 5) * 1000
        await line.until(lambda: complete() or line.ms - last_ms >= timeout_ms)
    digits = "".join(keys).rstrip(finish) if finish else "".join(keys)
    if not digits and not keys and not verb.flag("actionOnEmptyResult"):
        return None
    asked = follow(verb, document, {"Digits": digits})
    return asked or Fetch(document.url, verb.get("method", "POST"), {"Digits": digits})


async def record(call: Call, verb: Element, document: Document) -> Step | None:
    """`<Record>`: until silence, a key or the longest time; an empty recording goes on to the next verb."""
    line = call.open_line
    if verb.flag("playBeep", default=True):
        await line.play(audio.tone([1400], 300))
    heard = bytearray()
    finish = verb.get("finishOnKey", "1234567890*#")
    key = ""
    quiet_ms = 0

    def hear(frame: bytes) -> None:
        nonlocal quiet_ms
        heard.extend(frame)
        quiet_ms = quiet_ms + FRAME_MS if audio.level(frame) < AUDIBLE_DBFS else 0

    def pressed(digit: str) -> None:
        nonlocal key
        if digit in finish:
            key = digit

    silence_ms, most_ms = verb.number("timeout", 5) * 1000, verb.number("maxLength", 3600) * 1000
    try:
        with line.connect(listener=hear, keys=pressed):
            await line.until(lambda: bool(key) or quiet_ms >= silence_ms or len(heard) >= most_ms * 8)
    except asyncio.CancelledError:
        # https://www.twilio.com/docs/voice/twiml/record#attributes-action: asked also when the caller hangs up.
        if call.taken_by == "caller" and (kept := _keep(call, verb, document, bytes(heard))):
            asked = follow(verb, document, kept | {"Digits": "hangup"})
            if asked:
                call.inform(asked.url, asked.parameters, asked.method)
        raise
    kept = _keep(call, verb, document, bytes(heard))
    if not kept:
        return None
    parameters = kept | {"Digits": key}
    return follow(verb, document, parameters) or Fetch(document.url, verb.get("method", "POST"), parameters)


def _keep(call: Call, verb: Element, document: Document, heard: bytes) -> dict[str, str]:
    """Keep a recording that is not empty, and report it to `recordingStatusCallback`; nothing for an empty one.

    https://www.twilio.com/docs/voice/twiml/record#attributes-recording-status-callback
    """
    if audio.level(heard) < AUDIBLE_DBFS - 10:
        return {}
    exchange, sid = call.exchange, new_sid("RE")
    exchange.recordings[sid] = heard
    call.note("recorded", sid)
    kept = {
        "RecordingSid": sid,
        "RecordingUrl": f"https://api.twilio.com/{API_VERSION}/Accounts/{exchange.account_sid}/Recordings/{sid}",
        "RecordingDuration": str(len(heard) // 8000),
    }
    if verb.get("recordingStatusCallback"):
        url = resolve(document.url, verb.get("recordingStatusCallback"))
        call.inform(url, {**kept, "RecordingStatus": "completed", "RecordingChannels": "1"})
    return kept


SIMPLE: Final[Verbs] = {
    "Say": say,
    "Play": play,
    "Pause": pause,
    "Gather": gather,
    "Record": record,
    "Redirect": redirect,
    "Hangup": hang_up,
    "Reject": reject,
}
