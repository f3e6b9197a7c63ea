"""Packets of Protocol 2.0: their checksum, their framing, and how they are found in a stream of bytes.

`FF FF FD 00 ID LEN_L LEN_H INST PARAMS CRC_L CRC_H`, LEN counts from INST on (ROBOTIS-GIT/emanual
`docs/en/dxl/protocol2.md`). Between LEN and CRC a pattern FF FF FD is sent as FF FF FD FD (byte stuffing). One
exception: the reply to a fast sync or fast bulk read (id 254, instruction 0x55) is not stuffed. The checksum is CRC-16
with polynomial 0x8005, start 0, not reflected (`docs/en/dxl/crc.md`).
"""

from __future__ import annotations

from array import array
from enum import IntEnum
from struct import unpack
from typing import NamedTuple

from drivers.errors import PacketError

_POLYNOMIAL = 0x8005


def _byte_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ _POLYNOMIAL if crc & 0x8000 else crc << 1) & 0xFFFF
        table.append(crc)
    return table


_BYTES = _byte_table()
_WORDS = array("H", (((crc << 8) & 0xFFFF) ^ _BYTES[(crc >> 8) ^ low] for crc in _BYTES for low in range(256)))
"""Effect of two bytes at once, indexed by CRC xor the big-endian word: twice as fast as byte by byte."""


def crc16(data: bytes | bytearray | memoryview, crc: int = 0) -> int:
    """CRC of `data`, 0 ... 65535.

    Args:
        data: Any number of bytes.
        crc: CRC of what went before.
    """
    count = len(data)
    if count & 1:
        crc = ((crc << 8) & 0xFFFF) ^ _BYTES[(crc >> 8) ^ data[0]]
        data = data[1:]
    words = _WORDS
    for word in unpack(f">{count >> 1}H", data):
        crc = words[crc ^ word]
    return crc


HEADER = b"\xff\xff\xfd\x00"
PATTERN = b"\xff\xff\xfd"
STUFFED = b"\xff\xff\xfd\xfd"
BROADCAST = 254
LARGEST_ID = 252
FIXED_BYTES = 10
"""Bytes of a packet without parameters: header 4, id 1, length 2, instruction 1, CRC 2."""
LARGEST_PACKET = 1024
"""Bytes; the servos' own limit is smaller."""


class Instruction(IntEnum):
    """Instruction field of a packet."""

    PING = 0x01
    READ = 0x02
    WRITE = 0x03
    REG_WRITE = 0x04
    ACTION = 0x05
    FACTORY_RESET = 0x06
    REBOOT = 0x08
    CLEAR = 0x10
    STATUS = 0x55
    SYNC_READ = 0x82
    SYNC_WRITE = 0x83
    FAST_SYNC_READ = 0x8A
    BULK_READ = 0x92
    BULK_WRITE = 0x93
    FAST_BULK_READ = 0x9A


class Packet(NamedTuple):
    """One packet as received, its CRC checked.

    Attributes:
        servo: Id field, 0 ... 254.
        instruction: Instruction field (0x55 for replies).
        params: What follows the instruction, without stuffing; of a reply the first byte is the error field.
            Of a fast reply (see `is_fast`) everything after the instruction, CRC included, as on the wire.
    """

    servo: int
    instruction: int
    params: bytes

    @property
    def is_fast(self) -> bool:
        """Whether this is the joint reply to a fast sync or fast bulk read."""
        return self.servo == BROADCAST and self.instruction == Instruction.STATUS


def encode(servo: int, instruction: int, params: bytes = b"") -> bytes:
    """Bytes of a packet, stuffed, with CRC.

    Raises:
        PacketError: When the id or the size doesn't fit the protocol.
    """
    if not 0 <= servo <= BROADCAST or servo == 253:
        raise PacketError(f"A packet's id must be 0 ... {LARGEST_ID} or {BROADCAST} (all); got {servo}.")
    # The pattern can't reach into the instruction: none of them is FF or FD.
    body = params.replace(PATTERN, STUFFED) if PATTERN in params else params
    length = len(body) + 3
    if length + 7 > LARGEST_PACKET:
        raise PacketError(f"A packet of {length + 7} bytes is too long; at most {LARGEST_PACKET} are sent. Split it.")
    head = HEADER + bytes((servo, length & 0xFF, length >> 8, instruction)) + body
    return head + crc16(head).to_bytes(2, "little")


def unstuff(body: bytes) -> bytes:
    """Remove the byte stuffing between LEN and CRC."""
    return body.replace(STUFFED, PATTERN) if STUFFED in body else body


_SMALLEST_LENGTH = 3
_STATUS = int(Instruction.STATUS)


class Parser:
    """An incremental parser. It never raises, never waits and keeps at most one packet's bytes.

    Bytes outside packets are counted and dropped. A packet that breaks off is given up as soon as the next one's
    header is in sight, so that it doesn't swallow its successor.

    Args:
        largest: Bytes of the largest packet to believe in; a longer one is taken for garbage.

    Attributes:
        crc_errors: Packets whose CRC was wrong.
        stray_bytes: Bytes dropped because they belonged to no packet.
    """

    def __init__(self, largest: int = LARGEST_PACKET) -> None:
        self._largest = largest
        self._buffer = bytearray()
        self.crc_errors = 0
        self.stray_bytes = 0

    @property
    def pending(self) -> int:
        """Bytes kept of an unfinished packet."""
        return len(self._buffer)

    def reset(self) -> int:
        """Forget an unfinished packet; returns how many bytes that were."""
        dropped = len(self._buffer)
        self._buffer.clear()
        return dropped

    def feed(self, data: bytes) -> list[Packet]:
        """Packets completed by `data`, in order."""
        self._buffer += data
        packets: list[Packet] = []
        start = 0
        while True:
            start, packet = self._next(start)
            if packet is None:
                break
            packets.append(packet)
        if start:
            del self._buffer[:start]
        return packets

    def _next(self, start: int) -> tuple[int, Packet | None]:
        """Position of the first byte to keep, and the packet before it, if any is complete from `start` on."""
        buffer = self._buffer
        while True:
            found = buffer.find(HEADER, start)
            if found < 0:
                keep = max(start, len(buffer) - len(HEADER) + 1)
                self.stray_bytes += keep - start
                return keep, None
            self.stray_bytes += found - start
            start = found
            have = len(buffer) - start
            if have < 7:
                return start, None
            servo = buffer[start + 4]
            length = buffer[start + 5] | buffer[start + 6] << 8
            total = length + 7
            if length < _SMALLEST_LENGTH or total > self._largest or servo in (253, 255):
                start = self._skip(start)
                continue
            if have < 8:
                return start, None
            fast = servo == BROADCAST and buffer[start + 7] == _STATUS
            if not fast:
                # Inside a stuffed packet no header can occur: one in sight means that this packet broke off.
                successor = buffer.find(HEADER, start + 7, start + min(have, total - 2))
                if successor >= 0:
                    self.stray_bytes += successor - start
                    start = successor
                    continue
            if have < total:
                return start, None
            end = start + total
            crc = buffer[end - 2] | buffer[end - 1] << 8
            if crc16(buffer[start : end - 2]) != crc:
                self.crc_errors += 1
                start = self._skip(start)
                continue
            if fast:
                return end, Packet(servo, _STATUS, bytes(buffer[start + 8 : end]))
            body = bytes(buffer[start + 8 : end - 2])
            return end, Packet(servo, buffer[start + 7], unstuff(body) if PATTERN in body else body)

    def _skip(self, start: int) -> int:
        """Give up the header at `start`."""
        self.stray_bytes += 1
        return start + 1
