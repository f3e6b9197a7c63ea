"""The registers of the servos on one line: read, write, restart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from drivers.dynamixel import messages
from drivers.dynamixel.messages import Status
from drivers.dynamixel.port import Port, SerialPort
from drivers.dynamixel.registers import EEPROM_END, ControlTable, Register
from drivers.dynamixel.tables import XM430_W350, table_for
from drivers.dynamixel.transactions import LARGEST_RETRIES, PING_BYTES, Transactions
from drivers.dynamixel.wire import BusStatistics
from drivers.errors import PacketError, ServoRefusedError, ServoTimeoutError, TorqueOnError
from trajectories.errors import ConfigError
from trajectories.numbers import NS_PER_S

_TORQUE = XM430_W350["torque_enable"]
_REBOOT_POLL_S = 0.05
_CUTS_THE_LINE = ("id", "baud_rate")
_Ask = Callable[[Sequence[int], int], dict[int, Status]]


class Identity(NamedTuple):
    """What a servo says of itself: model number and firmware version."""

    model: int
    firmware: int


class DynamixelBus:
    """Servos on one serial line. Belongs to one thread.

    Nothing is made up in place of an answer (see `Transactions`). The alert bit is kept in `alerts`; it is not an error
    of the request. Nothing here switches torque off by itself.

    Args:
        open_port: Opens the line; called now and by `reopen`.
        baud: Bits per second.
        latency_s: Longest time that computer and adapter add to a reply.
        return_delay_s: Longest return delay of the servos (register 9; factory setting 0.5 ms).
        retries: Repetitions of an unanswered request, at most two.
        clock: Monotonic ns.

    Attributes:
        tables: Control table of every identified servo.
        firmware: Firmware version of every identified servo.
        transactions: Asks and takes answers.

    Raises:
        PortError: When the port can't be opened.
        ConfigError: When a number makes no sense.
    """

    def __init__(
        self,
        open_port: Callable[[], Port],
        *,
        baud: int = 1_000_000,
        latency_s: float = 0.008,
        return_delay_s: float = 0.0005,
        retries: int = LARGEST_RETRIES,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.tables: dict[int, ControlTable] = {}
        self.firmware: dict[int, int] = {}
        self.clock = clock
        self.transactions = Transactions(
            open_port, baud=baud, latency_s=latency_s, return_delay_s=return_delay_s, retries=retries, clock=clock
        )

    @classmethod
    def on(cls, name: str, baud: int = 1_000_000, latency_s: float = 0.008) -> DynamixelBus:
        """The bus on a serial port (a path, or a part of a name in /dev/serial/by-id)."""
        return cls(lambda: SerialPort(name, baud), baud=baud, latency_s=latency_s)

    @property
    def statistics(self) -> BusStatistics:
        """Counters."""
        return self.transactions.statistics

    @property
    def alerts(self) -> set[int]:
        """Servos whose last reply had the alert bit."""
        return self.transactions.alerts

    def close(self) -> None:
        """Release the port; the servos keep their goals and their torque."""
        self.transactions.close()

    def reopen(self) -> None:
        """Open the port anew after it went away. What the servos' RAM held must be checked by the caller.

        Raises:
            PortError: When it isn't back yet.
        """
        self.transactions.reopen()

    # -- who is there -------------------------------------------------------------------------------
    def ping(self, servo: int, budget_s: float | None = None) -> Identity:
        """Model and firmware of a servo.

        Raises:
            ServoTimeoutError: When it doesn't answer.
        """
        return _identity(self.transactions.ask(servo, messages.ping(servo), PING_BYTES, "ping", budget_s))

    def broadcast_ping(self) -> dict[int, Identity]:
        """Every servo that answers at this baud rate, by id. Takes about 0.8 s; for all rates see `scan`.

        Two servos with the same id answer at once and damage each other's reply: `statistics.crc_errors` counts it.
        """
        return {servo: _identity(status) for servo, status in sorted(self.transactions.broadcast_ping().items())}

    def identify(self, servos: Iterable[int]) -> dict[int, Identity]:
        """Ping servos and look their tables up.

        Raises:
            ServoTimeoutError: Naming all that don't answer.
            ConfigError: When a model is unknown.
        """
        found: dict[int, Identity] = {}
        silent = []
        for servo in servos:
            try:
                found[servo] = self.ping(servo)
            except ServoTimeoutError:
                silent.append(servo)
        for servo, identity in found.items():
            self.tables[servo] = table_for(identity.model)
            self.firmware[servo] = identity.firmware
        if silent:
            raise self.transactions.silence(silent, "ping")
        return found

    # -- registers ----------------------------------------------------------------------------------
    def register(self, servo: int, name: str) -> Register:
        """A register of an identified servo.

        Raises:
            ConfigError: When the servo wasn't identified or its model has no such register.
        """
        if servo not in self.tables:
            raise ConfigError(f"Servo {servo} wasn't identified yet: call identify([{servo}]) first.")
        return self.tables[servo][name]

    def read(self, servo: int, name: str, budget_s: float | None = None) -> int:
        """Value of a register.

        Raises:
            ServoTimeoutError, ServoRefusedError, PortLostError: When there is no answer, a refusal or no port.
        """
        register = self.register(servo, name)
        return register.decode(self.read_bytes(servo, register.address, register.size, budget_s))

    def read_bytes(self, servo: int, address: int, length: int, budget_s: float | None = None) -> bytes:
        """`length` bytes from `address` on."""
        request = messages.read(servo, address, length)
        return self.transactions.ask(servo, request, length, f"read of {length} bytes at {address}", budget_s).data

    def write(self, servo: int, name: str, value: int, budget_s: float | None = None) -> None:
        """Set a register and wait for the servo's word that it did.

        Raises:
            TorqueOnError: For an EEPROM register while torque is on.
            ConfigError: For id and baud rate, which would cut the line.
            ServoTimeoutError, ServoRefusedError, PacketError, PortLostError: Likewise.
        """
        register = self._writable(servo, name)
        self.write_bytes(servo, register.address, register.encode(value), budget_s)

    def write_bytes(self, servo: int, address: int, data: bytes, budget_s: float | None = None) -> None:
        """Write `data` from `address` on; see `write`."""
        if address < EEPROM_END:
            self._require_torque_off(servo, f"the EEPROM at {address}")
        request = messages.write(servo, address, data)
        self.transactions.ask(servo, request, 0, f"write of {len(data)} bytes at {address}", budget_s)

    def sync_read(self, servos: Sequence[int], name: str) -> dict[int, int]:
        """The same register of several servos, with one request.

        Raises:
            ServoTimeoutError: Naming all that didn't answer.
            ConfigError: When the register isn't at the same place in all of them.
        """
        register = self._same_register(servos, name)

        def ask(ready: Sequence[int], attempt: int) -> dict[int, Status]:
            return self.transactions.gather(ready, register.address, register.size)

        replies = self._insist(servos, ask, f"sync read of {name}")
        return {servo: register.decode(replies[servo].data) for servo in servos}

    def sync_write(self, name: str, values: Mapping[int, int]) -> None:
        """Set the same RAM register of several servos with one packet. Nobody answers: read back what matters.

        Raises:
            PacketError: When a value doesn't fit or the register is EEPROM or read-only.
            PortLostError: Without port.
        """
        register = _unconfirmed(self._same_register(tuple(values), name))
        data = {servo: register.encode(value) for servo, value in values.items()}
        self.transactions.tell(messages.sync_write(register.address, data))

    # -- other instructions -------------------------------------------------------------------------
    def reboot(self, servo: int, back_within_s: float = 2.0) -> None:
        """Restart a servo and wait until it answers. It comes back without torque and with initial RAM values.

        Support the arm before: the joint is free from here on. Both servos of a pair have to be rebooted.

        Raises:
            ServoTimeoutError: When it isn't back in time.
            ServoRefusedError: When it still has torque, so that it didn't restart.
        """
        silence: ServoTimeoutError | None = None
        try:
            self.transactions.ask(servo, messages.reboot(servo), 0, "reboot")
        except ServoTimeoutError as error:
            silence = error  # It may have restarted all the same: its torque tells.
        give_up = self.clock() + round(back_within_s * NS_PER_S)
        while True:
            try:
                torque = self.read_bytes(servo, _TORQUE.address, _TORQUE.size, budget_s=0.0)
                break
            except ServoTimeoutError:
                if self.clock() >= give_up:
                    raise
                self.transactions.wait(_REBOOT_POLL_S)
        if torque != b"\x00":
            if silence:
                raise silence
            raise ServoRefusedError(f"Servo {servo} acknowledged the reboot but still holds its joint.", servo, 0)

    # -- inside -------------------------------------------------------------------------------------
    def _insist(self, servos: Sequence[int], ask: _Ask, what: str) -> dict[int, Status]:
        """Ask servos jointly, those that are missing again; `ask` gets the servos and the number of the attempt."""
        replies: dict[int, Status] = {}
        for attempt in range(1 + self.transactions.retries):
            missing = [servo for servo in servos if servo not in replies]
            if not missing:
                break
            self.statistics.retries += attempt > 0
            ready = self.transactions.fence(missing)
            replies |= ask(ready, attempt) if ready else {}
        silent = [servo for servo in servos if servo not in replies]
        if silent:
            raise self.transactions.silence(silent, what)
        return replies

    def _writable(self, servo: int, name: str) -> Register:
        register = self.register(servo, name)
        if name in _CUTS_THE_LINE:
            raise ConfigError(f"Changing {name} would cut the line to servo {servo}; use DYNAMIXEL Wizard for it.")
        if not register.writable:
            raise PacketError(f"{name} of servo {servo} can only be read.")
        return register

    def _require_torque_off(self, servo: int, what: str) -> None:
        if self.read_bytes(servo, _TORQUE.address, _TORQUE.size) != b"\x00":
            raise TorqueOnError(
                f"Servo {servo} holds its joint (torque on): {what} can't be written. Bring the arm to its sleep pose "
                "or support it, switch the torque off, then write."
            )

    def _same_register(self, servos: Sequence[int], name: str) -> Register:
        found = [self.register(servo, name) for servo in servos]
        if not found or any((r.address, r.size) != (found[0].address, found[0].size) for r in found):
            raise ConfigError(f"{name} isn't at the same place in servos {list(servos)}; ask one after the other.")
        return found[0]


def _identity(status: Status) -> Identity:
    return Identity(int.from_bytes(status.data[:2], "little"), status.data[2])


def _unconfirmed(register: Register) -> Register:
    """Refuse registers that must not be written without an answer."""
    if register.eeprom or not register.writable:
        raise PacketError(f"{register.name} can't be set by a joint write, which nobody confirms; use write.")
    return register
