"""A loop whose clock moves only when told, and a transport that remembers: what the WebSocket tests stand on."""

import asyncio
import contextlib
import errno
import heapq
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Any, TypeVarTuple

from containers.media_relay.websocket import Closed, WebSocket

_Ts = TypeVarTuple("_Ts")


class StillLoop(asyncio.BaseEventLoop):
    """Just enough of an event loop: time passes in `advance`, never by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.timers: list[asyncio.TimerHandle] = []
        self.soon: list[asyncio.Handle] = []
        self.reported: list[dict[str, Any]] = []

    def time(self) -> float:
        return self.now

    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self.soon.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(self.now + delay, callback, args, self, context)
        heapq.heappush(self.timers, handle)
        return handle

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.reported.append(context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def settle(self) -> None:
        while self.soon:
            handle = self.soon.pop(0)
            if not handle.cancelled():
                handle._run()

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        self.settle()
        while self.timers and self.timers[0].when() <= until:
            handle = heapq.heappop(self.timers)
            self.now = max(self.now, handle.when())
            if not handle.cancelled():
                handle._run()
            self.settle()
        self.now = until


@contextlib.contextmanager
def still_loop() -> Iterator[StillLoop]:
    loop = StillLoop()
    asyncio._set_running_loop(loop)
    try:
        yield loop
    finally:
        asyncio._set_running_loop(None)
        loop.close()


class Line(asyncio.Transport):
    """A stream transport with memory. `stuck`: the peer takes nothing, so everything written stays buffered.
    `reset`: it has reset the connection, and we have not read that yet."""

    def __init__(self, loop: StillLoop, websocket: WebSocket, *, half_close: bool = True) -> None:
        super().__init__()
        self.loop = loop
        self.websocket = websocket
        self.half_close = half_close
        self.stuck = False
        self.reset = False
        self.written = bytearray()
        self.buffered = 0
        self.eof_written = False
        self.closing = False
        self.lost = False
        websocket.connection_made(self)

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return self.half_close

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.eof_written, "nothing can be written after EOF"
        self.written += data
        if self.stuck:
            self.buffered += len(data)

    def write_eof(self) -> None:
        assert not self.eof_written
        self.eof_written = True
        if self.reset:
            raise OSError(errno.ENOTCONN, "not connected")

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            if not self.buffered:
                self.loop.call_soon(self._lose, None)

    def abort(self) -> None:
        self.closing = True
        self.buffered = 0
        self.loop.call_soon(self._lose, None)

    def _lose(self, exc: Exception | None) -> None:
        if not self.lost:
            self.lost = self.closing = True
            self.websocket.connection_lost(exc)

    # What the peer does.

    def receive(self, data: bytes) -> None:
        if not self.closing:
            self.websocket.data_received(data)
            self.loop.settle()

    def receive_eof(self) -> None:
        if not self.closing:
            self.websocket.eof_received()
            self.close()
            self.loop.settle()

    def break_off(self, exc: Exception | None = None) -> None:
        self.closing = True
        self._lose(exc)
        self.loop.settle()

    def take(self) -> bytes:
        taken = bytes(self.written)
        self.written.clear()
        return taken


class Listener:
    """An endpoint with memory, doing on each message what it was told to do."""

    def __init__(self, on_message: Callable[[bytes], None] | None = None) -> None:
        self.messages: list[bytes] = []
        self.endings: list[Closed] = []
        self.on_message = on_message

    def message_received(self, text: bytes) -> None:
        assert not self.endings, "a message came after the end"
        self.messages.append(text)
        if self.on_message is not None:
            self.on_message(text)

    def connection_lost(self, closed: Closed) -> None:
        self.endings.append(closed)
