"""What servos answer: status packets, alone or joined by a fast sync or fast bulk read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum, IntFlag
from typing import NamedTuple

from drivers.dynamixel.crc import crc16
from drivers.dynamixel.packet import BROADCAST, FIXED_BYTES, HEADER, Instruction, Packet, encode

ALERT_BIT = 0x80
STATUS_BYTES = FIXED_BYTES + 1
"""Bytes of a reply without data."""
JOINT_BYTES = 4
"""Bytes of a servo's part of a joint reply without its data: error, id, CRC."""


class Refusal(IntEnum):
    """Why a servo didn't do what it was told: bits 0 to 6 of the error field."""

    RESULT = 1
    INSTRUCTION = 2
    CRC = 3
    DATA_RANGE = 4
    DATA_LENGTH = 5
    DATA_LIMIT = 6
    ACCESS = 7


REFUSAL_TEXTS = {
    Refusal.RESULT: "it failed to carry the instruction out",
    Refusal.INSTRUCTION: "it doesn't know the instruction, or there was nothing registered to act on",
    Refusal.CRC: "the instruction arrived damaged",
    Refusal.DATA_RANGE: "the value is out of the register's range, or the bus watchdog tripped and goals are locked",
    Refusal.DATA_LENGTH: "the data is shorter than the register",
    Refusal.DATA_LIMIT: "the value is beyond a limit that is set in the servo",
    Refusal.ACCESS: "the register is read-only or unknown, or belongs to the EEPROM while torque is on",
}


class HardwareError(IntFlag):
    """Register 70. All but VOLTAGE and ENCODER switch torque off by default; only a reboot restores it."""

    VOLTAGE = 1
    OVERHEATING = 4
    ENCODER = 8
    SHOCK = 16
    OVERLOAD = 32


class Status(NamedTuple):
    """One servo's reply.

    Attributes:
        servo: Its id.
        error: Error field: alert bit and refusal.
        data: The bytes that were asked for.
    """

    servo: int
    error: int
    data: bytes

    @property
    def alert(self) -> bool:
        """Whether the servo reports a hardware error (register 70 says which)."""
        return bool(self.error & ALERT_BIT)

    @property
    def refusal(self) -> int:
        """0, or a `Refusal`."""
        return self.error & ~ALERT_BIT


def as_status(packet: Packet) -> Status | None:
    """The reply in a packet, or None for anything else (an instruction, a joint reply)."""
    if packet.instruction != Instruction.STATUS or packet.servo == BROADCAST or not packet.params:
        return None
    return Status(packet.servo, packet.params[0], packet.params[1:])


def encode_status(servo: int, error: int, data: bytes = b"") -> bytes:
    """Bytes of one servo's reply."""
    return encode(servo, Instruction.STATUS, bytes((error,)) + data)


def split_fast(packet: Packet, lengths: Mapping[int, int]) -> list[Status] | None:
    """The single replies in a joint reply to a fast read, or None when it isn't exactly the one asked for.

    The layout is (error, id, data, CRC) for each servo in the order asked; each CRC covers everything before it.

    Args:
        packet: A packet with `is_fast`.
        lengths: Servo -> bytes asked of it, in the order asked.
    """
    params = packet.params
    if len(params) != sum(lengths.values()) + JOINT_BYTES * len(lengths):
        return None
    replies = []
    at = 0
    for servo, length in lengths.items():
        if params[at + 1] != servo:
            return None
        replies.append(Status(servo, params[at], params[at + 2 : at + 2 + length]))
        at += length + JOINT_BYTES
    return replies


def encode_fast(replies: Sequence[Status]) -> list[bytes]:
    """The joint reply to a fast read, as the pieces that each servo puts on the wire."""
    total = 1 + sum(len(reply.data) + JOINT_BYTES for reply in replies)
    piece = HEADER + bytes((BROADCAST, total & 0xFF, total >> 8, Instruction.STATUS))
    crc = 0
    pieces = []
    for reply in replies:
        piece += bytes((reply.error, reply.servo)) + reply.data
        crc = crc16(piece, crc)
        piece += crc.to_bytes(2, "little")
        crc = crc16(piece[-2:], crc)
        pieces.append(piece)
        piece = b""
    return pieces
