"""Finds packets in a stream of bytes, whatever else is in it."""

from __future__ import annotations

from drivers.dynamixel.crc import crc16
from drivers.dynamixel.packet import (
    BROADCAST,
    HEADER,
    LARGEST_PACKET,
    PATTERN,
    Instruction,
    Packet,
    unstuff,
)

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
