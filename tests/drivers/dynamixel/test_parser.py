"""The parser finds every intact packet, whatever surrounds it, and keeps little."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from drivers.dynamixel.packet import HEADER, LARGEST_PACKET, Instruction, Packet, Parser, encode

HEADERISH = st.lists(st.sampled_from([0xFF, 0xFD, 0x00, 0x55, 0xFE, 0x07]), max_size=60).map(bytes)
GARBAGE = st.one_of(st.binary(max_size=60), HEADERISH)
PARAMS = st.one_of(st.binary(min_size=1, max_size=40), HEADERISH.filter(bool))
PACKETS = st.builds(
    lambda servo, instruction, params: (Packet(servo, instruction, params), encode(servo, instruction, params)),
    st.integers(0, 252),
    st.sampled_from([0x01, 0x02, 0x03, 0x55, 0x82]),
    PARAMS,
)


def cut(stream: bytes, lengths: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for length in lengths:
        pieces.append(stream[at : at + length])
        at += length
    return [*pieces, stream[at:]]


@settings(max_examples=300, deadline=None)
@given(st.lists(PACKETS, max_size=8), st.lists(st.integers(1, 30), max_size=30))
def test_packets_come_out_however_the_stream_is_cut(packets, lengths):
    stream = b"".join(data for _, data in packets)
    parser = Parser()
    found = [packet for piece in cut(stream, lengths) for packet in parser.feed(piece)]
    assert found == [packet for packet, _ in packets]
    assert (parser.crc_errors, parser.stray_bytes, parser.pending) == (0, 0, 0)


@settings(max_examples=400, deadline=None)
@given(GARBAGE, PACKETS, st.lists(st.integers(1, 30), max_size=30))
def test_a_packet_after_garbage_is_found_at_the_latest_after_another_packet_length(garbage, packet, lengths):
    expected, data = packet
    parser = Parser(largest=128)
    found = []
    # Garbage may promise a packet of up to 128 bytes: enough of the stream must follow to see through it.
    for piece in cut(garbage + data + bytes(128), lengths):
        found += parser.feed(piece)
        assert parser.pending <= 128 + 30 + len(data) + len(garbage)
    joint = any(p.is_fast for p in found)
    assert expected in found or joint


@settings(max_examples=400, deadline=None)
@given(PACKETS, PACKETS, st.integers(1, 60), st.integers(1, 30))
def test_a_packet_that_breaks_off_does_not_swallow_the_next(first, second, keep, chunk):
    broken = first[1][: min(keep, len(first[1]) - 1)]
    assume(not HEADER.startswith(first[1][len(broken) :]))  # else the first is complete after all
    parser = Parser()
    found = [p for piece in cut(broken + second[1], [chunk] * 10) for p in parser.feed(piece)]
    assert second[0] in found
    assert first[0] not in found or first[0] == second[0]


@settings(max_examples=300, deadline=None)
@given(PACKETS, st.data())
def test_a_flipped_bit_is_never_believed(packet, data):
    expected, stream = packet
    at, bit = data.draw(st.integers(0, len(stream) - 1)), data.draw(st.integers(0, 7))
    damaged = stream[:at] + bytes((stream[at] ^ 1 << bit,)) + stream[at + 1 :]
    parser = Parser()
    assert expected not in parser.feed(damaged)


@settings(max_examples=300, deadline=None)
@given(st.lists(GARBAGE, max_size=40))
def test_any_bytes_are_survived_with_bounded_memory(pieces):
    parser = Parser(largest=64)
    for piece in pieces:
        parser.feed(piece)
        assert parser.pending < 64 + len(HEADER)
    parser.reset()
    good = encode(1, Instruction.STATUS, b"\0abc")
    assert parser.feed(good) == [Packet(1, 0x55, b"\0abc")]


def test_a_promised_giant_is_not_waited_for():
    parser = Parser()
    giant = HEADER + b"\x01" + (LARGEST_PACKET).to_bytes(2, "little") + b"\x55\x00"
    good = encode(1, Instruction.STATUS, b"\0abc")
    assert parser.feed(giant + good) == [Packet(1, 0x55, b"\0abc")]
    assert parser.stray_bytes == len(giant)


def test_damage_is_counted():
    parser = Parser()
    good = encode(1, Instruction.STATUS, b"\0abc")
    parser.feed(b"\x00\x01" + good[:-1] + bytes((good[-1] ^ 1,)))
    assert parser.crc_errors == 1
    assert parser.stray_bytes >= 2
