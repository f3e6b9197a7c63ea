"""The instruction packets of Protocol 2.0, as bytes (ROBOTIS-GIT/emanual `docs/en/dxl/protocol2.md`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drivers.dynamixel.packet import BROADCAST, LARGEST_ID, Instruction, encode
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
