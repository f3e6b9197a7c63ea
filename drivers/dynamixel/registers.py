"""Registers and control tables as data types."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from drivers.errors import PacketError
from trajectories.errors import ConfigError

EEPROM_END = 64
"""Addresses below are EEPROM: kept without power, writable only while torque is off."""


@dataclass(frozen=True)
class Register:
    """One entry of a control table.

    Attributes:
        name: As in the manual, in snake case.
        address: First byte.
        size: Bytes: 1, 2 or 4, little-endian.
        writable: Whether it can be written at all.
        initial: Factory value (EEPROM) or value after power-on (RAM).
        low: Smallest value that the servo takes.
        high: Largest value that the servo takes.
    """

    name: str
    address: int
    size: int
    writable: bool
    initial: int = 0
    low: int = 0
    high: int = 0

    @property
    def eeprom(self) -> bool:
        """Whether it is kept without power."""
        return self.address < EEPROM_END

    @property
    def signed(self) -> bool:
        """Whether negative values are possible (two's complement)."""
        return self.low < 0

    def encode(self, value: int) -> bytes:
        """Bytes of a value.

        Raises:
            PacketError: When the register can't hold it.
        """
        bits = 8 * self.size
        lowest, highest = (-(1 << bits - 1), (1 << bits - 1) - 1) if self.signed else (0, (1 << bits) - 1)
        if not lowest <= value <= highest:
            raise PacketError(
                f"{self.name} holds {self.size} bytes, {lowest} ... {highest}; got {value}. Clip it before writing."
            )
        return value.to_bytes(self.size, "little", signed=self.signed)

    def decode(self, data: bytes) -> int:
        """Value of `size` bytes.

        Raises:
            PacketError: When there are more or fewer bytes.
        """
        if len(data) != self.size:
            raise PacketError(f"{self.name} has {self.size} bytes; the servo sent {len(data)}.")
        return int.from_bytes(data, "little", signed=self.signed)


@dataclass(frozen=True)
class ControlTable:
    """The registers of one servo model.

    Attributes:
        model: Name, e.g. "XM430-W350".
        number: Model number that the servo reports.
        registers: Name -> register, without indirect ones.
        current_unit_a: Ampere per unit of register 126, or None where that is load in 0.1 %.
        stall_current_a: Largest current at the recommended voltage; scales load and current in simulation.
        modes: Operating modes that the model has.
        indirect_address: First indirect address (2 bytes each).
        indirect_data: First indirect byte.
        indirect_count: How many of both in the first bank.
        fast_firmware: Firmware from which on fast sync read works.
    """

    model: str
    number: int
    registers: dict[str, Register]
    current_unit_a: float | None
    stall_current_a: float
    modes: tuple[int, ...]
    indirect_address: int
    indirect_data: int
    indirect_count: int
    fast_firmware: int
    _addresses: dict[int, Register] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index by address."""
        object.__setattr__(self, "_addresses", {register.address: register for register in self.registers.values()})

    def __getitem__(self, name: str) -> Register:
        """The register of that name.

        Raises:
            ConfigError: When the model has none.
        """
        try:
            return self.registers[name]
        except KeyError:
            raise ConfigError(f"The {self.model} has no register {name!r}; it has {sorted(self.registers)}.") from None

    def __contains__(self, name: str) -> bool:
        return name in self.registers

    def at(self, address: int) -> Register | None:
        """The register that starts at `address`, or None."""
        return self._addresses.get(address)

    @property
    def size(self) -> int:
        """Bytes up to the end of the first bank of indirect data."""
        return self.indirect_data + self.indirect_count


def table_of(rows: Iterable[Register]) -> dict[str, Register]:
    """Registers by name, in order of address."""
    return {row.name: row for row in sorted(rows, key=lambda row: row.address)}
