"""What reaches the caller's ear from here: the agent's voice and the ringing, and what of it was heard. Pure."""

from __future__ import annotations

from containers.media_relay import clips, energy, media_streams, realtime, ringback
from containers.media_relay.actions import Action, Log
from containers.media_relay.clips import Clip
from containers.media_relay.media_streams import Clear, Mark, Media
from containers.media_relay.memory import Memory
from containers.media_relay.playout import Playout
from containers.media_relay.responses import Responses
from containers.media_relay.silence import NEVER
from contracts import events


class Speech:
    """One stream's way out. Nothing is sent before `start` has named the stream."""

    def __init__(self) -> None:
        self.stream_sid = ""
        self.playout = Playout()
        self.responses = Responses()
        self.memory = Memory()
        self.ring_at = NEVER
        self._rings = False  # what plays is a ring and nothing else
        self._unknown: frozenset[str] = frozenset()  # items of a session that is gone

    def say(self, delta: realtime.AudioDelta, now: float) -> list[Action]:
        """Pass on some of the agent's voice, unless the caller has cut that response off.

        Audio without a sound in it is passed on, and ends no ringing.
        """
        if not self.stream_sid or not self.responses.hears(delta.response_id):
            return []
        done: list[Action] = []
        if not self.responses.audible and energy.audible(delta.delta):
            self.responses.audible = True
            done.append(Log(events.RESPONSE_AUDIO, {"response_id": delta.response_id}))
        if self.ring_at != NEVER and self.responses.audible:
            done[:0] = self.stop_ringing(now)
        self.playout.add(delta.item_id, media_streams.octets(delta.delta), now)
        done.append(Media(self.stream_sid, delta.delta))
        if self.playout.mark_due():
            done.append(Mark(self.stream_sid, self.playout.mark()))
        return done

    def finish(self) -> list[Action]:
        """Mark the end of what was said, so that its being heard is known."""
        done: list[Action] = [turn for item_id in self.playout.end() for turn in self.memory.heard(item_id)]
        if self.playout.mark_due(at_end=True):
            done.append(Mark(self.stream_sid, self.playout.mark()))
        return done

    def marked(self, name: str, now: float) -> list[Action]:
        """Twilio echoed a mark."""
        return [turn for item_id in self.playout.marked(name, now) for turn in self.memory.heard(item_id)]

    def lost(self) -> list[Action]:
        """The model's session is gone: what was sent plays on, and no other session knows its items."""
        self.responses.lost()
        self._unknown = frozenset(self.playout.items)
        return [*self.memory.lost(), *self.finish()]

    def play(self, clip: Clip, now: float) -> list[Action]:
        """A line of our own, after whatever plays."""
        self._rings = False
        self.playout.add(clips.ITEM, clip.octets, now)
        return [Media(self.stream_sid, clip.payload), *self.finish()]

    def cut(self, now: float, *, barge_in: bool = True) -> list[Action]:
        """Stop what plays, and all that is to come of this response; the model forgets what was not heard."""
        self.responses.mute()
        self.ring_at, self._rings = NEVER, False
        if not self.playout.playing:
            return []
        done: list[Action] = [Clear(self.stream_sid)]
        for cut in self.playout.clear(now):
            if cut.item_id in {ringback.ITEM, clips.ITEM}:
                continue
            if cut.item_id not in self._unknown:
                done.append(realtime.Truncate(cut.item_id, cut.heard_ms))
            done.extend(self.memory.cut(cut))
            unheard = {"heard_ms": cut.heard_ms, "sent_ms": cut.sent_ms, "unheard_ms": cut.sent_ms - cut.heard_ms}
            if barge_in:
                done.append(Log(events.BARGE_IN, {"item_id": cut.item_id, **unheard}))
        return done

    @property
    def speaking(self) -> bool:
        """Whether the agent's voice, not a ring, still plays."""
        return self.playout.playing and not self._rings

    def heard_so_far(self, now: float) -> list[Action]:
        """The stream ends amid what plays: of that, what was heard is remembered, and nothing of what was to come."""
        return [*self.memory.leave(self.playout.clear(now))]

    def silence(self) -> list[Action]:
        """Take back whatever still plays: this stream has lost the call."""
        return [Clear(self.stream_sid)] if self.playout.playing else []

    def start_ringing(self, now: float) -> None:
        """Ring as soon as nothing plays any more."""
        self.ring_at = now

    def ring(self, now: float) -> list[Action]:
        """One ring, if nothing plays; the next is due `ringback.EVERY` seconds later."""
        if (dry_at := self.playout.ends_at(now)) > now:
            self.ring_at = dry_at
            return []
        self.ring_at, self._rings = now + ringback.EVERY, True
        self.playout.add(ringback.ITEM, ringback.OCTETS, now)
        return [Media(self.stream_sid, ringback.payload()), *self.finish()]

    def stop_ringing(self, now: float) -> list[Action]:
        """Something better is to be heard."""
        rings, self.ring_at, self._rings = self._rings, NEVER, False
        if not (rings and self.playout.playing):
            return []
        self.playout.clear(now)
        return [Clear(self.stream_sid)]
