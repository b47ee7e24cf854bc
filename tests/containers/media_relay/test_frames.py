"""The short way must say what the Sans-I/O layer says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, SERVER, Protocol

from containers.media_relay.frames import masked_text, text_frame

LENGTHS = [0, 1, 125, 126, 65535, 65536]


def read(segment: bytes, *, masked: bool) -> list[Frame]:
    protocol = Protocol(SERVER if masked else CLIENT)
    protocol.receive_data(segment)
    return [event for event in protocol.events_received() if isinstance(event, Frame)]


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("length", LENGTHS)
def test_a_frame_built_here_is_read_by_the_library(length: int, masked: bool) -> None:  # noqa: FBT001 - a parameter
    text = b"a" * length
    (frame,) = read(text_frame(text, masked=masked), masked=masked)
    assert (frame.opcode, bytes(frame.data), frame.fin) == (Opcode.TEXT, text, True)


@pytest.mark.parametrize("length", [2, 125, 126, 65535])
def test_a_frame_built_by_the_library_is_read_here(length: int) -> None:
    text = b"a" * length
    assert masked_text(Frame(Opcode.TEXT, text).serialize(mask=True)) == text


@pytest.mark.parametrize("length", [0, 1, 65536])
def test_the_shortest_and_the_longest_are_left_to_the_library(length: int) -> None:
    assert masked_text(Frame(Opcode.TEXT, b"a" * length).serialize(mask=True)) is None


def test_masking_keys_do_not_repeat() -> None:
    frames = {text_frame(b"", masked=True) for _ in range(5000)}
    assert len(frames) > 4990


@given(
    st.binary(max_size=200)
    | st.builds(
        lambda opcode, data, fin, mask, tail: Frame(opcode, data, fin).serialize(mask=mask) + tail,
        st.sampled_from([Opcode.TEXT, Opcode.CONT, Opcode.BINARY]),
        st.binary(max_size=200),
        st.booleans(),
        st.booleans(),
        st.binary(max_size=3),
    )
)
def test_S19_what_is_read_here_is_what_the_library_reads(segment: bytes) -> None:
    text = masked_text(segment)
    if text is not None:
        (frame,) = read(segment, masked=True)
        assert (frame.opcode, bytes(frame.data), frame.fin) == (Opcode.TEXT, text, True)
