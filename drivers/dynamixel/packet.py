"""Framing of Protocol 2.0: `FF FF FD 00 ID LEN_L LEN_H INST PARAMS CRC_L CRC_H`, LEN counts from INST on.

Source: ROBOTIS-GIT/emanual `docs/en/dxl/protocol2.md`. Between LEN and CRC a pattern FF FF FD is sent as FF FF FD FD
(byte stuffing). One exception: the reply to a fast sync or fast bulk read (id 254, instruction 0x55) is not stuffed.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from drivers.dynamixel.crc import crc16
from drivers.errors import PacketError

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
