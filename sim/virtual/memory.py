"""A servo's control table as bytes: what may be read and written, and where indirect registers lead."""

from __future__ import annotations

from drivers.dynamixel.messages import Refusal
from drivers.dynamixel.registers import EEPROM_END, ControlTable, Register


class ControlMemory:
    """EEPROM and RAM of one servo.

    Undefined bytes read as zero and can't be written; a range that leaves the table is refused. Real servos' behaviour
    for undefined bytes is unconfirmed (the manual promises an access error).

    Args:
        table: The model.
    """

    def __init__(self, table: ControlTable) -> None:
        self.table = table
        self._bytes = bytearray(table.size)
        self._places = {name: _place(register) for name, register in table.registers.items()}
        self._known: dict[str, int] = {}  # what the bytes say, as far as it was asked for
        self._indirect_end = table.indirect_address + 2 * table.indirect_count
        for register in table.registers.values():
            if register.eeprom:
                self.set(register.name, register.initial)
        self.set("model_number", table.number)
        self.restore_ram()

    def restore_ram(self) -> None:
        """Put RAM back to what it is after power-on."""
        self._bytes[EEPROM_END:] = bytes(len(self._bytes) - EEPROM_END)
        self._known.clear()
        for register in self.table.registers.values():
            if not register.eeprom:
                self.set(register.name, register.initial)
        for index in range(self.table.indirect_count):
            at = self.table.indirect_address + 2 * index
            self._bytes[at : at + 2] = (self.table.indirect_data + index).to_bytes(2, "little")

    def restore_eeprom(self, keep: tuple[str, ...]) -> None:
        """Put EEPROM back to factory settings except for `keep`."""
        for register in self.table.registers.values():
            if register.eeprom and register.writable and register.name not in keep:
                self.set(register.name, register.initial)

    # -- from inside the servo ----------------------------------------------------------------------
    def get(self, name: str) -> int:
        """Value of a register."""
        known = self._known.get(name)
        if known is None:
            start, end, signed, _, _ = self._places[name]
            known = self._known[name] = int.from_bytes(self._bytes[start:end], "little", signed=signed)
        return known

    def set(self, name: str, value: int) -> None:
        """Set a register, clipped to what its bytes hold."""
        if self._known.get(name) == value:
            return
        start, end, signed, low, high = self._places[name]
        value = low if value < low else high if value > high else value
        self._bytes[start:end] = value.to_bytes(end - start, "little", signed=signed)
        self._known[name] = value

    # -- from the line ------------------------------------------------------------------------------
    def read(self, address: int, length: int) -> bytes | None:
        """Bytes as read from the line, indirect ones followed; None where the table ends."""
        if length < 1 or address + length > len(self._bytes):
            return None
        if address + length <= self.table.indirect_data:
            return bytes(self._bytes[address : address + length])
        return bytes(self._bytes[self._follow(at)] for at in range(address, address + length))

    def check(self, address: int, data: bytes, torque: bool) -> tuple[int, list[tuple[Register, int]]]:
        """What a write from the line would set.

        Args:
            address: First byte.
            data: What to write.
            torque: Whether torque is on, which locks the EEPROM.

        Returns:
            (Refusal or 0, registers and their values). Indirect addresses are `Register`s made up on the spot.
        """
        runs: list[tuple[int, bytearray]] = []
        for offset, byte in enumerate(data):
            at = address + offset
            if at >= len(self._bytes):
                return Refusal.ACCESS, []
            target = self._follow(at)
            if runs and target == runs[-1][0] + len(runs[-1][1]):
                runs[-1][1].append(byte)
            else:
                runs.append((target, bytearray((byte,))))
        writes: list[tuple[Register, int]] = []
        for start, run in runs:
            refusal = self._split(start, bytes(run), torque, writes)
            if refusal:
                return refusal, []
        return (0, writes) if writes else (Refusal.DATA_LENGTH, [])

    def store(self, register: Register, value: int) -> None:
        """Write a register that `check` returned."""
        at = register.address
        self._bytes[at : at + register.size] = value.to_bytes(register.size, "little", signed=register.signed)
        self._known.pop(register.name, None)

    def _split(self, start: int, run: bytes, torque: bool, writes: list[tuple[Register, int]]) -> int:
        at = 0
        while at < len(run):
            register = self._register_at(start + at)
            if register is None or not register.writable:
                return Refusal.ACCESS
            if register.eeprom and torque:
                return Refusal.ACCESS
            if at + register.size > len(run):
                return Refusal.DATA_LENGTH
            value = int.from_bytes(run[at : at + register.size], "little", signed=register.signed)
            if not register.low <= value <= register.high:
                return Refusal.DATA_RANGE
            writes.append((register, value))
            at += register.size
        return 0

    def _register_at(self, address: int) -> Register | None:
        table = self.table
        if table.indirect_address <= address < self._indirect_end and (address - table.indirect_address) % 2 == 0:
            return Register("indirect_address", address, 2, True, 0, EEPROM_END, table.size - 1)
        if address >= table.indirect_data:
            return Register("indirect_data", address, 1, True, 0, 0, 255)
        return table.at(address)

    def _follow(self, address: int) -> int:
        """Where a byte of indirect data leads; other addresses lead to themselves."""
        table = self.table
        if address < table.indirect_data:
            return address
        at = table.indirect_address + 2 * (address - table.indirect_data)
        return int.from_bytes(self._bytes[at : at + 2], "little")


def _place(register: Register) -> tuple[int, int, bool, int, int]:
    """First byte, end, whether signed, smallest and largest value."""
    bits = 8 * register.size
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if register.signed else (0, (1 << bits) - 1)
    return register.address, register.address + register.size, register.signed, low, high
