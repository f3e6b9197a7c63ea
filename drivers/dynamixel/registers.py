"""Registers and control tables as data types, and their units (ROBOTIS-GIT/emanual `docs/en/dxl/x/xm430-w350.md`)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from drivers.errors import PacketError
from trajectories.errors import ConfigError

TICKS_PER_TURN = 4096
CENTRE_TICKS = 2048
RAD_PER_TICK = 2 * math.pi / TICKS_PER_TURN
VELOCITY_UNIT_RAD_S = 0.229 * 2 * math.pi / 60
ACCELERATION_UNIT_RAD_S2 = 214.577 * 2 * math.pi / 3600
"""214.577 rev/min^2."""
VOLT_UNIT = 0.1
LOAD_UNIT = 0.001
WATCHDOG_UNIT_S = 0.02
RETURN_DELAY_UNIT_S = 2e-6
LARGEST_PWM = 885
TICK_WRAP_MS = 32_768
"""The realtime tick counts 0 ... 32,767 ms."""
BAUD_RATES = {0: 9600, 1: 57_600, 2: 115_200, 3: 1_000_000, 4: 2_000_000, 5: 3_000_000, 6: 4_000_000, 7: 4_500_000}
"""Value of the baud rate register -> bits per second."""


def ticks_to_rad(ticks: float) -> float:
    """Angle of a position register; 2048 is 0 rad."""
    return (ticks - CENTRE_TICKS) * RAD_PER_TICK


def rad_to_ticks(angle: float) -> int:
    """Nearest position register of an angle in rad."""
    return CENTRE_TICKS + round(angle / RAD_PER_TICK)


def rad_s_to_velocity(speed: float) -> int:
    """Nearest velocity register of a speed in rad/s."""
    return round(speed / VELOCITY_UNIT_RAD_S)


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
