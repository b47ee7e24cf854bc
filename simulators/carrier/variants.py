"""What nobody outside Twilio knows for certain, as switches: software that works with every setting works with Twilio.

Each default is the behaviour thought likelier, or the less convenient one where nothing speaks for either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Variants:
    """One carrier's habits.

    Attributes:
        connect_action: `<Connect action>` is requested when a stream ends; otherwise the next verb runs.
        connect_action_after_failure: The same when the stream never began (refused, unreachable).
        action_on_update: A REST update that takes the call away also has the `action` of the interrupted verb
            requested; what it answers is ignored.
        action_on_hang_up: The caller's hanging up has the running verb's `action` requested, likewise in vain.
        update_beats_action: A REST update wins over an `action` or `<Redirect>` already being fetched; otherwise the
            update is accepted and lost.
        stop_before_close: `stop` is sent before the socket closes; otherwise it only closes.
        signed_url: The form of the stream URL that the handshake signature is made over.
        close_is_logged: 31921 is logged when the server closes the stream normally.
        dtmf_audible: The tones of pressed keys are heard in the stream's media too.
        child_visibility_seconds: How long a new leg stays unseen by `GET Calls?ParentCallSid=`.
        handshake_seconds: How long the server has to answer the stream's handshake.
        ring_grace_seconds: What is added to `<Dial timeout>` ("may be up to 5 seconds longer",
            https://www.twilio.com/docs/voice/twiml/dial).
        declined_status: What `<Dial>` reports when the called party rejects the call.
        unaccepted_status: What `<Dial>` reports when the called party answered and left before being bridged.
    """

    connect_action: bool = True
    connect_action_after_failure: bool = True
    action_on_update: bool = False
    action_on_hang_up: bool = False
    update_beats_action: bool = True
    stop_before_close: bool = True
    signed_url: Literal["plain", "slash", "port"] = "plain"
    close_is_logged: bool = True
    dtmf_audible: bool = False
    child_visibility_seconds: float = 0.0
    handshake_seconds: float = 5.0
    ring_grace_seconds: float = 5.0
    declined_status: Literal["busy", "no-answer", "failed"] = "busy"
    unaccepted_status: Literal["no-answer", "completed"] = "no-answer"
