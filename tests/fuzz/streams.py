"""Mutated frame streams at a real relay over real sockets, while a call lives: `python -m tests.fuzz.streams [COUNT]`.

Each stream passes both proofs, so that all behind them is reached, and is then bitten: octets changed, frames cut,
doubled, swapped. Nothing may be raised in the loop, nothing left behind, and the live call goes on.
"""

from __future__ import annotations

import asyncio
import random
import struct
import sys

from tests.containers.media_relay.house import GUARD, House, house
from tests.containers.media_relay.test_server import signed
from tests.fuzz.targets import corpus

ABREAST = 20
STREAMS = 10_000
A_CALL = 250


def frame(payload: bytes, chance: random.Random) -> bytes:
    """A client's frame, mostly a whole text."""
    opcode = chance.choice([0x81] * 12 + [0x01, 0x80, 0x82, 0x88, 0x89, 0x8A, 0xC1, 0x83])
    mask = chance.randbytes(4)
    size = len(payload)
    head = bytes([opcode, 0x80 | size]) if size < 126 else struct.pack("!BBH", opcode, 0xFE, size)
    return head + mask + bytes(octet ^ mask[at % 4] for at, octet in enumerate(payload))


def mutant(messages: list[bytes], chance: random.Random) -> bytes:
    """Frames as a client sends them, and then a few bites."""
    frames = [frame(message[:60_000], chance) for message in chance.choices(messages, k=chance.randrange(1, 12))]
    if chance.random() < 0.3:
        frames.append(chance.choice(frames))
    stream = bytearray(b"".join(frames))
    for _ in range(chance.choice([0, 1, 1, 2, 8])):
        stream[chance.randrange(len(stream))] = chance.randrange(256)
    return bytes(stream[: chance.randrange(len(stream))] if chance.random() < 0.2 else stream)


async def bite(home: House, stream: bytes) -> None:
    """One stream, to its end."""
    _, path = home.offer()
    reader, writer = await asyncio.open_connection("127.0.0.1", home.port)
    try:
        writer.write(signed(path))
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), GUARD)
        writer.write(stream)
        writer.write_eof()
        while await asyncio.wait_for(reader.read(65536), GUARD):
            pass
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def storm(count: int, seed: int) -> list[str]:
    """What went wrong in so many streams; nothing, it is hoped."""
    chance, loop = random.Random(seed), asyncio.get_running_loop()
    raised: list[str] = []
    loop.set_exception_handler(lambda _, context: raised.append(f"{context['message']}: {context.get('exception')!r}"))
    messages = corpus("twilio_frame")
    async with house() as home, home.phone() as phone:
        await phone.start()
        await phone.hear("media")
        before = len(asyncio.all_tasks())
        for done in range(0, count, ABREAST):
            streams = [mutant(messages, chance) for _ in range(min(ABREAST, count - done))]
            await asyncio.gather(*(bite(home, one) for one in streams))
        await _left_alone(home, before)
        known = len(home.model.of("input_audio_buffer.append"))
        await phone.speak()
        await home.model.told("input_audio_buffer.append", known + 1)  # the live call is untouched
    return raised


async def _left_alone(home: House, tasks: int) -> None:
    """Wait until the live call is the only one, and as many tasks run as before."""
    async with asyncio.timeout(GUARD):
        while home.server.live_calls > 1 or len(asyncio.all_tasks()) > tasks:  # noqa: ASYNC110 - tasks tell nobody
            await asyncio.sleep(0.01)


def main() -> int:
    """Returns the exit status."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else STREAMS
    # A call in which nobody says anything is ended by its agent, so each has a few of them to live through.
    rounds = [min(A_CALL, count - done) for done in range(0, count, A_CALL)]
    raised = [one for seed, streams in enumerate(rounds) for one in asyncio.run(storm(streams, seed))]
    sys.stdout.write("".join(f"{one}\n" for one in raised) + f"{count} streams, {len(raised)} faults\n")
    return 1 if raised else 0


if __name__ == "__main__":
    sys.exit(main())
