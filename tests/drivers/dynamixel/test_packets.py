"""Packets of Protocol 2.0, with the vendor's library and the manual's examples as oracles."""

import numpy as np
import pytest
from helpers.sdk_oracle import SDK, OraclePort

from drivers.dynamixel import messages
from drivers.dynamixel.messages import Status, as_status, encode_fast, encode_status, split_fast
from drivers.dynamixel.packet import LARGEST_PACKET, Instruction, Parser, crc16, encode, unstuff
from drivers.errors import PacketError

NASTY = (0xFF, 0xFF, 0xFD, 0x00)


def nasty_bytes(rng: np.random.Generator, length: int) -> bytes:
    """Random bytes, half of them from the header's alphabet, so that stuffing is needed often."""
    plain = rng.integers(0, 256, length)
    header = rng.choice(NASTY, length)
    return bytes(np.where(rng.random(length) < 0.6, header, plain).astype(np.uint8).tolist())


def sdk_stuffed(packet: bytes) -> bytes:
    """The SDK's packet with the SDK's own stuffing, which 4.1.0 computes but then forgets to send."""
    filled = SDK.addStuffing(list(packet))
    body = packet[:3] + bytes(filled[3:-2])
    return body + SDK.updateCRC(0, body, len(body)).to_bytes(2, "little")


def sdk_unstuffs_wrongly(packet: bytes) -> bool:
    """Behind the first stuffing, 4.1.0 takes FF FD FD for stuffing as well and loses a byte."""
    first = packet.find(b"\xff\xff\xfd\xfd")
    return first >= 0 and b"\xff\xfd\xfd" in packet[first + 4 :]


def sdk_finds_rows_wrongly(rows: list[int], ids: list[int]) -> bool:
    """4.1.0 looks an id up among addresses and lengths as well, so that it may take one of those for it."""
    return any(rows.index(i) % 5 for i in ids)


# -- the manual's examples (ROBOTIS-GIT/emanual docs/en/dxl/protocol2.md) -------------------------------
@pytest.mark.parametrize(
    ("packet", "text"),
    [
        (messages.ping(1), "FFFFFD00010300 01 194E"),
        (messages.read(1, 132, 4), "FFFFFD00010700 02 84000400 1D15"),
        (messages.write(1, 116, (512).to_bytes(4, "little")), "FFFFFD00010900 03 740000020000 CA89"),
        (messages.reg_write(1, 104, (200).to_bytes(4, "little")), "FFFFFD00010900 04 6800C8000000 AE8E"),
        (messages.action(1), "FFFFFD00010300 05 02CE"),
        (messages.factory_reset(1, 1), "FFFFFD00010400 06 01 A1E6"),
        (messages.reboot(1), "FFFFFD00010300 08 2F4E"),
        (messages.clear(1), "FFFFFD00010800 10 0144584C22 B1DC"),
        (messages.sync_read([1, 2], 132, 4), "FFFFFD00FE0900 82 840004000102 CEFA"),
        (messages.sync_read([3, 7, 4], 132, 4, fast=True), "FFFFFD00FE0A00 8A 84000400030704 20F2"),
        (
            messages.sync_write(116, {1: (150).to_bytes(4, "little"), 2: (170).to_bytes(4, "little")}),
            "FFFFFD00FE1100 83 74000400 0196000000 02AA000000 8287",
        ),
        (messages.bulk_read({1: (144, 2), 2: (146, 1)}), "FFFFFD00FE0D00 92 0190000200 0292000100 1A05"),
        (
            messages.bulk_write({1: (32, b"\xa0\x00"), 2: (31, b"\x50")}),
            "FFFFFD00FE1000 93 0120000200A000 021F00010050 B768",
        ),
        (encode_status(1, 0, b"\x06\x04\x26"), "FFFFFD00010700 55 00 060426 655D"),
    ],
)
def test_bytes_of_the_manual(packet, text):
    assert packet == bytes.fromhex(text)


def test_joint_reply_of_the_manual():
    parts = ["FFFFFD00FE190055 0003A6000000 8408", "00071F080000 16CA", "0004FF030000 D19E"]
    replies = [Status(3, 0, b"\xa6\0\0\0"), Status(7, 0, b"\x1f\x08\0\0"), Status(4, 0, b"\xff\x03\0\0")]
    assert encode_fast(replies) == [bytes.fromhex(part) for part in parts]
    (packet,) = Parser().feed(bytes.fromhex("".join(parts)))
    assert split_fast(packet, {3: 4, 7: 4, 4: 4}) == replies
    assert split_fast(packet, {3: 4, 4: 4, 7: 4}) is None
    assert split_fast(packet, {3: 4, 7: 4}) is None
    assert split_fast(packet, {3: 4, 7: 4, 4: 5}) is None
    assert split_fast(packet, {3: 4, 7: 5, 4: 3}) is None


# -- dynamixel_sdk --------------------------------------------------------------------------------------
def test_crc_is_the_sdks():
    rng = np.random.default_rng(0)
    for _ in range(2000):
        data = rng.bytes(int(rng.integers(0, 60)))
        start = int(rng.integers(0, 65536))
        assert crc16(data, start) == SDK.updateCRC(start, data, len(data))


def test_requests_are_the_sdks():
    rng = np.random.default_rng(1)
    stuffed = 0
    for _ in range(1500):
        servo, address = int(rng.integers(0, 253)), int(rng.integers(0, 700))
        length = int(rng.integers(1, 40))
        data = nasty_bytes(rng, length)
        ids = [int(i) for i in rng.choice(253, int(rng.integers(1, 12)), replace=False)]
        rows = {i: nasty_bytes(rng, length) for i in ids}
        ranges = {i: (int(rng.integers(0, 700)), int(rng.integers(1, 30))) for i in ids}
        flat_rows = [byte for i, row in rows.items() for byte in (i, *row)]
        flat_ranges = [byte for i, (a, n) in ranges.items() for byte in (i, a & 255, a >> 8, n & 255, n >> 8)]
        flat_writes = [
            byte for i, row in rows.items() for byte in (i, address & 255, address >> 8, length & 255, 0, *row)
        ]
        cases = [
            (messages.ping(servo), lambda p, s=servo: SDK.ping(p, s)),
            (messages.read(servo, address, length), lambda p, s=servo, a=address, n=length: SDK.readTx(p, s, a, n)),
            (
                messages.write(servo, address, data),
                lambda p, s=servo, a=address, n=length, d=data: SDK.writeTxOnly(p, s, a, n, list(d)),
            ),
            (
                messages.reg_write(servo, address, data),
                lambda p, s=servo, a=address, n=length, d=data: SDK.regWriteTxOnly(p, s, a, n, list(d)),
            ),
            (messages.action(servo), lambda p, s=servo: SDK.action(p, s)),
            (messages.reboot(servo), lambda p, s=servo: SDK.reboot(p, s)),
            (messages.clear(servo), lambda p, s=servo: SDK.clearMultiTurn(p, s)),
            (messages.factory_reset(servo), lambda p, s=servo: SDK.factoryReset(p, s, 2)),
            (
                messages.sync_read(ids, address, length),
                lambda p, i=ids, a=address, n=length: SDK.syncReadTx(p, a, n, i, len(i), False),
            ),
            (
                messages.sync_read(ids, address, length, fast=True),
                lambda p, i=ids, a=address, n=length: SDK.syncReadTx(p, a, n, i, len(i), True),
            ),
            (
                messages.sync_write(address, rows),
                lambda p, a=address, n=length, f=flat_rows: SDK.syncWriteTxOnly(p, a, n, f, len(f)),
            ),
            (messages.bulk_read(ranges), lambda p, f=flat_ranges: SDK.bulkReadTx(p, f, len(f), False)),
            (messages.bulk_read(ranges, fast=True), lambda p, f=flat_ranges: SDK.bulkReadTx(p, f, len(f), True)),
            (
                messages.bulk_write({i: (address, row) for i, row in rows.items()}),
                lambda p, f=flat_writes: SDK.bulkWriteTxOnly(p, f, len(f)),
            ),
        ]
        packet, send = cases[int(rng.integers(len(cases)))]
        port = OraclePort()
        send(port)
        stuffed += port.written != packet
        assert sdk_stuffed(port.written) == packet
    assert stuffed > 100


def test_replies_are_read_as_by_the_sdk():
    rng = np.random.default_rng(2)
    stuffed = compared = 0
    for _ in range(2000):
        servo, error = int(rng.integers(0, 253)), int(rng.integers(0, 256))
        data = nasty_bytes(rng, int(rng.integers(0, 40)))
        packet = encode_status(servo, error, data)
        stuffed += b"\xff\xff\xfd\xfd" in packet
        theirs, result, their_error = SDK.readRx(OraclePort(packet), servo, len(data))
        (ours,) = [as_status(p) for p in Parser().feed(packet)]
        assert ours == Status(servo, error, data)
        if sdk_unstuffs_wrongly(packet):
            continue
        compared += 1
        assert (bytes(theirs), result, their_error) == (data, 0, error)
    assert stuffed > 300
    assert compared > 1000


def test_joint_replies_are_read_as_by_the_sdk():
    rng = np.random.default_rng(3)
    for _ in range(500):
        length = int(rng.integers(1, 16))
        ids = [int(i) for i in rng.choice(253, int(rng.integers(1, 10)), replace=False)]
        replies = [Status(i, 0, nasty_bytes(rng, length)) for i in ids]
        packet = b"".join(encode_fast(replies))
        raw, result, _ = SDK.fastSyncReadRx(OraclePort(packet), 254, (length + 4) * len(ids))
        (ours,) = Parser().feed(packet)
        assert split_fast(ours, dict.fromkeys(ids, length)) == replies
        assert result == 0
        assert bytes(raw)[: len(ours.params)] == ours.params


def test_joint_replies_of_different_lengths_are_read_as_by_the_sdk():
    rng = np.random.default_rng(5)
    compared = 0
    for _ in range(500):
        ids = [int(i) for i in rng.choice(200, int(rng.integers(1, 10)), replace=False)]
        replies = [Status(i, 0, nasty_bytes(rng, int(rng.integers(1, 16)))) for i in ids]
        lengths = {reply.servo: len(reply.data) for reply in replies}
        packet = b"".join(encode_fast(replies))
        (ours,) = Parser().feed(packet)
        assert split_fast(ours, lengths) == replies
        rows = [value for i in ids for value in (i, 0, 0, lengths[i], 0)]
        if sdk_finds_rows_wrongly(rows, ids):
            continue
        compared += 1
        raw, result = SDK.fastBulkReadRx(OraclePort(packet), rows)
        assert result == 0
        assert {i: bytes(data) for i, data in raw.items()} == {reply.servo: reply.data for reply in replies}
    assert compared > 100


# -- refusals -------------------------------------------------------------------------------------------
def test_stuffing_is_undone():
    rng = np.random.default_rng(4)
    for _ in range(1000):
        data = nasty_bytes(rng, 30)
        assert unstuff(encode(5, Instruction.WRITE, data)[8:-2]) == data


@pytest.mark.parametrize(
    "build",
    [
        lambda: messages.ping(253),
        lambda: messages.read(1, 70_000, 4),
        lambda: messages.write(1, 0, bytes(LARGEST_PACKET)),
        lambda: messages.sync_read([1, 1], 0, 4),
        lambda: messages.sync_read([], 0, 4),
        lambda: messages.sync_write(116, {1: b"\0" * 4, 2: b"\0" * 2}),
        lambda: messages.sync_write(116, {254: b"\0"}),
        lambda: messages.factory_reset(1, 0xFF),
    ],
)
def test_what_cannot_be_sent_is_refused(build):
    with pytest.raises(PacketError):
        build()
