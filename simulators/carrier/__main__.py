"""Place calls against a webhook, as Twilio would: `python -m simulators.carrier --webhook URL --auth-token TOKEN`.

One JSON object a call on stdout, in the order the calls end; exit status 1 if a call failed or an error was logged.
`--calls 0 --owns +1…` places none: the REST API is there for others until the program is interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any, Final

from simulators import audio
from simulators.carrier.call import Call, Number
from simulators.carrier.callees import Callee
from simulators.carrier.callers import BadScript, Listens, Says, ScriptedCaller
from simulators.carrier.carrier import Carrier
from simulators.carrier.line import AUDIBLE_DBFS, FRAME_MS

_ANSWERS: Final = ("answers", "busy", "no-answer", "failed", "declines", "voicemail")
# Logged by Twilio whenever a server closes a stream, wanted or not.
_HARMLESS: Final = frozenset({31921})


def arguments(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m simulators.carrier", description="A stand-in for Twilio.")
    parser.add_argument("--webhook", metavar="URL", help="what the called number's voice URL is")
    parser.add_argument("--fallback", metavar="URL", help="the number's fallback URL")
    parser.add_argument("--status-callback", metavar="URL", help="the number's status callback")
    parser.add_argument("--auth-token", required=True, help="signs every webhook and handshake")
    parser.add_argument("--account-sid", default="AC" + "0" * 32)
    parser.add_argument("--calls", type=int, default=1, help="how many calls at once; 0: until interrupted")
    parser.add_argument("--stagger", type=float, default=0.05, metavar="SECONDS", help="between two calls' beginnings")
    parser.add_argument("--from", dest="from_", default="+15550109999", metavar="NUMBER")
    parser.add_argument("--to", default="+15550100000", metavar="NUMBER")
    parser.add_argument("--script", metavar="FILE", help='the caller as JSON: [{"listen": 800}, {"say": "Hello"}]')
    parser.add_argument("--say", metavar="TEXT", help="a caller who listens, says this and stays")
    parser.add_argument("--patience", type=float, default=30.0, metavar="SECONDS", help="after which callers hang up")
    parser.add_argument(
        "--callee",
        action="append",
        default=[],
        metavar="NUMBER=ANSWER[:SECONDS[:TEXT]]",
        help=f"a party that may be dialled; ANSWER is one of {', '.join(_ANSWERS)}",
    )
    parser.add_argument(
        "--owns", action="append", default=[], metavar="NUMBER", help="another number of the account, as just bought"
    )
    parser.add_argument("--rest-port", type=int, default=0, help="of the REST API on 127.0.0.1")
    parser.add_argument("--recordings", type=Path, metavar="DIRECTORY", help="leave a WAV file of each call here")
    options = parser.parse_args(argv)
    if options.calls and not options.webhook:
        parser.error("calls need a --webhook")
    return options


def callee(text: str) -> tuple[str, Callee]:
    """Read one `--callee`.

    Raises:
        BadScript: it is none.
    """
    number, _, rest = text.partition("=")
    answer, _, rest = rest.partition(":")
    seconds, _, says = rest.partition(":")
    for known in _ANSWERS:
        if answer == known and number:
            try:
                return number, Callee(answer=known, after=float(seconds or 2.0), says=says)
            except ValueError:
                break
    raise BadScript(f"--callee {text!r} is not NUMBER=ANSWER[:SECONDS[:TEXT]]")


def caller(options: argparse.Namespace) -> ScriptedCaller:
    """The caller the options describe; without any, one who listens until patience ends.

    Raises:
        BadScript: the script's file cannot be read as one.
    """
    if options.script:
        try:
            return ScriptedCaller.from_data(json.loads(Path(options.script).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise BadScript(f"{options.script}: {error}") from error
    return ScriptedCaller([Listens(), Says(options.say)] if options.say else [])


def longest_silence(ear: bytes) -> float:
    """Seconds of the longest stretch in which nothing was heard."""
    size, longest, current = FRAME_MS * audio.BYTES_PER_MS, 0, 0
    for position in range(0, len(ear), size):
        current = 0 if audio.level(ear[position : position + size]) > AUDIBLE_DBFS else current + 1
        longest = max(longest, current)
    return longest * FRAME_MS / 1000


def result(call: Call) -> dict[str, Any]:
    """What is printed of a call."""
    return {
        "call_sid": call.sid,
        "status": call.status,
        "ended_by": next(event["detail"] for event in call.events if event["what"] == "ended"),
        "seconds": round(len(call.ear) / 8000, 2),
        "longest_silence_seconds": longest_silence(call.ear),
        "streams": sum(event["what"] == "stream_started" for event in call.events),
        "dials": call.dials,
        "updates": call.updates,
        "legs": [{"to": leg.resource.to, "status": leg.status} for leg in call.legs],
        "debugger": [{"code": entry.code, "text": entry.text} for entry in call.exchange.debugger.of(call.sid)],
    }


async def _told_to_stop() -> None:
    """Also where SIGINT is ignored, as it is in the background of a shell."""
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await told.wait()


async def run(options: argparse.Namespace) -> bool:
    """Place the calls; whether all of them went well."""
    carrier = Carrier(account_sid=options.account_sid, auth_token=options.auth_token)
    carrier.callees.update(callee(text) for text in options.callee)
    if options.webhook:
        carrier.numbers[options.to] = Number(options.webhook, options.fallback, options.status_callback)
    for number in {*options.owns} - {*carrier.numbers}:
        carrier.numbers.add(number)
    script = caller(options)
    await carrier.start(options.rest_port)
    print(json.dumps({"rest": carrier.api_base_url}), file=sys.stderr)  # noqa: T201  # for whoever makes REST requests

    async def one(position: int) -> bool:
        await asyncio.sleep(position * options.stagger)
        call = carrier.place_call(from_=options.from_, to=options.to, caller=script, patience=options.patience)
        await call.ended
        if options.recordings:
            options.recordings.mkdir(parents=True, exist_ok=True)
            audio.write_wav(options.recordings / f"{call.sid}.wav", call.mouth, call.ear)
        print(json.dumps(result(call)), flush=True)  # noqa: T201  # the program's output
        wrong = [entry for entry in carrier.debugger.of(call.sid) if entry.code not in _HARMLESS]
        return call.status == "completed" and not wrong

    try:
        if not options.calls:
            await _told_to_stop()
        return all(await asyncio.gather(*(one(position) for position in range(options.calls))))
    finally:
        await carrier.stop()


def main(argv: list[str] | None = None) -> int:
    """The program; returns its exit status."""
    try:
        return 0 if asyncio.run(run(arguments(sys.argv[1:] if argv is None else argv))) else 1
    except (BadScript, OSError) as error:
        print(f"carrier: {error}", file=sys.stderr)  # noqa: T201  # the one line a user needs
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
