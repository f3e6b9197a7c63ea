"""CRC-16 of Protocol 2.0: polynomial 0x8005, start 0, not reflected (ROBOTIS-GIT/emanual `docs/en/dxl/crc.md`)."""

from __future__ import annotations

from array import array
from struct import unpack

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
