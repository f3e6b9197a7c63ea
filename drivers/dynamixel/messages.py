"""What is said to servos and what they answer, as bytes (ROBOTIS-GIT/emanual `docs/en/dxl/protocol2.md`).

Requests are instruction packets; replies are status packets, alone or joined by a fast sync or fast bulk read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum, IntFlag
from typing import NamedTuple

from drivers.dynamixel.packet import BROADCAST, FIXED_BYTES, HEADER, LARGEST_ID, Instruction, Packet, crc16, encode
from drivers.errors import PacketError

_CLEAR_MULTI_TURN = b"\x01\x44\x58\x4c\x22"
RESET_ALL_BUT_ID = 0x01
RESET_ALL_BUT_ID_AND_BAUD = 0x02


def ping(servo: int) -> bytes:
    """Ask for model number and firmware; `BROADCAST` asks every servo."""
    return encode(servo, Instruction.PING)


def read(servo: int, address: int, length: int) -> bytes:
    """Ask for `length` bytes from `address` on."""
    return encode(servo, Instruction.READ, _word(address) + _word(length))


def write(servo: int, address: int, data: bytes) -> bytes:
    """Write `data` from `address` on."""
    return encode(servo, Instruction.WRITE, _word(address) + data)


def reg_write(servo: int, address: int, data: bytes) -> bytes:
    """Like `write`, but carried out at the next `action`."""
    return encode(servo, Instruction.REG_WRITE, _word(address) + data)


def action(servo: int = BROADCAST) -> bytes:
    """Carry out what `reg_write` registered."""
    return encode(servo, Instruction.ACTION)


def factory_reset(servo: int, keep: int = RESET_ALL_BUT_ID_AND_BAUD) -> bytes:
    """Restore factory settings, keeping the id, or id and baud rate.

    Raises:
        PacketError: For another option: resetting the id as well would make two servos share one.
    """
    if keep not in (RESET_ALL_BUT_ID, RESET_ALL_BUT_ID_AND_BAUD):
        raise PacketError(
            f"A factory reset must keep the id (option {RESET_ALL_BUT_ID}) or id and baud rate (option "
            f"{RESET_ALL_BUT_ID_AND_BAUD}); got option {keep}."
        )
    return encode(servo, Instruction.FACTORY_RESET, bytes((keep,)))


def reboot(servo: int) -> bytes:
    """Restart a servo: RAM back to initial values, torque off, hardware errors cleared."""
    return encode(servo, Instruction.REBOOT)


def clear(servo: int) -> bytes:
    """Reset the multi-turn position to within one revolution."""
    return encode(servo, Instruction.CLEAR, _CLEAR_MULTI_TURN)


def sync_read(servos: Sequence[int], address: int, length: int, fast: bool = False) -> bytes:
    """Ask several servos for the same registers; one reply each, or one joint reply when `fast`.

    Raises:
        PacketError: When a servo is asked twice or none is asked.
    """
    _check_distinct(servos)
    instruction = Instruction.FAST_SYNC_READ if fast else Instruction.SYNC_READ
    return encode(BROADCAST, instruction, _word(address) + _word(length) + bytes(servos))


def sync_write(address: int, data: Mapping[int, bytes]) -> bytes:
    """Write the same registers of several servos; nobody replies.

    Args:
        address: First register.
        data: Servo -> bytes, all of the same length.

    Raises:
        PacketError: When the lengths differ or there is nothing to write.
    """
    _check_distinct(tuple(data))
    lengths = {len(value) for value in data.values()}
    if len(lengths) != 1:
        raise PacketError(f"A sync write needs the same number of bytes for every servo; got {sorted(lengths)}.")
    body = b"".join(bytes((servo,)) + value for servo, value in data.items())
    return encode(BROADCAST, Instruction.SYNC_WRITE, _word(address) + _word(lengths.pop()) + body)


def bulk_read(ranges: Mapping[int, tuple[int, int]], fast: bool = False) -> bytes:
    """Ask each servo for its own range: servo -> (address, length); one reply each, or one joint reply when `fast`."""
    _check_distinct(tuple(ranges))
    instruction = Instruction.FAST_BULK_READ if fast else Instruction.BULK_READ
    body = b"".join(bytes((servo,)) + _word(address) + _word(length) for servo, (address, length) in ranges.items())
    return encode(BROADCAST, instruction, body)


def bulk_write(writes: Mapping[int, tuple[int, bytes]]) -> bytes:
    """Write each servo's own range: servo -> (address, bytes); nobody replies."""
    _check_distinct(tuple(writes))
    body = b"".join(
        bytes((servo,)) + _word(address) + _word(len(data)) + data for servo, (address, data) in writes.items()
    )
    return encode(BROADCAST, Instruction.BULK_WRITE, body)


def _word(value: int) -> bytes:
    if not 0 <= value <= 0xFFFF:
        raise PacketError(f"An address or length must be 0 ... 65535, got {value}.")
    return value.to_bytes(2, "little")


def _check_distinct(servos: Sequence[int]) -> None:
    if not servos or len(set(servos)) != len(servos) or not all(0 <= servo <= LARGEST_ID for servo in servos):
        raise PacketError(f"A joint request needs distinct ids of 0 ... {LARGEST_ID}; got {list(servos)}.")


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
