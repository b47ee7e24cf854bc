"""What can go wrong at the model's end, as data: one value describes how one connection misbehaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from simulators.model.client_events import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How a connection misbehaves; the default is not at all.

    Attributes:
        refuse_status: HTTP status that answers the handshake instead of 101.
        accept_after: seconds the handshake waits for its answer.
        read_pause: seconds of not reading after each message, so that the client's writes back up.
        close_after: close the socket once so many server events have left (0: right after the handshake).
        close_code, close_reason: how it is closed then; code 1006 cuts the connection without a closing handshake.
        never_updated: `session.update` gets no answer.
        formats_ignored: `session.updated` still says PCM 24 kHz.
        mute: responses complete without any output.
        stalled: a response is created and nothing ever follows.
        silent_audio: what is said has the right length, and no sound.
        late_deltas: deltas that still arrive after `speech_started` has interrupted a response.
        hears: asked at each `append`; as long as it says no, no voice is detected.
        expires_silently: at the end of its lifetime the session is closed without an `error` event.
        errors: client event type -> error code that answers it; the event then has no effect.
    """

    refuse_status: int | None = None
    accept_after: float = 0.0
    read_pause: float = 0.0
    close_after: int | None = None
    close_code: int = 1011
    close_reason: str = "internal server error"
    never_updated: bool = False
    formats_ignored: bool = False
    mute: bool = False
    stalled: bool = False
    silent_audio: bool = False
    late_deltas: int = 0
    hears: Callable[[], bool] = lambda: True
    expires_silently: bool = False
    errors: Mapping[str, str] = field(default_factory=dict)

    def refuse(self, client_event: object) -> None:
        """Raises `Refused` if this client event is to be answered with an error."""
        if str(client_event) in self.errors:
            message = "The server had an error while processing your request."
            raise Refused(self.errors[str(client_event)], message)
