"""The state of all servos, shadows included, with one request a cycle.

Every servo's indirect registers are set up to hold, side by side: status return level, hardware error, current or load,
velocity, position; then torque, watchdog, realtime tick, voltage, temperature. A cycle reads the first part, every now
and then both.

The first byte is a witness: a servo that restarted has forgotten its indirect addresses and would answer zeros, which
look like -180 degrees. The status return level is 2 and never 0, so that such zeros are seen for what they are.

The number of bytes asked for is the number of the question: after an unanswered cycle the next one asks for one byte
more, so that late replies have the wrong length.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.messages import HardwareError, Status
from drivers.dynamixel.registers import LOAD_UNIT, VELOCITY_UNIT_RAD_S, VOLT_UNIT, ControlTable, ticks_to_rad
from drivers.errors import ServoRestartedError, ServoTimeoutError
from trajectories.errors import ConfigError
from trajectories.numbers import NS_PER_S

_STATE = struct.Struct("<BBhii")
_HEALTH = struct.Struct("<BbxxHB")
"""The skipped bytes are the realtime tick: more bytes are more lengths that tell questions apart."""
_STATE_FIELDS = ("status_return_level", "hardware_error_status", None, "present_velocity", "present_position")
_HEALTH_FIELDS = (
    "torque_enable",
    "bus_watchdog",
    "realtime_tick",
    "present_input_voltage",
    "present_temperature",
)
_FILLING = ("moving", "moving_status", "led")
_WITNESS = 2
_FULL_BYTES = _STATE.size + _HEALTH.size
_GIVE_UP_FAST_AFTER = 3
_ERRORS = tuple(HardwareError(value) for value in range(256))


class ServoHealth(NamedTuple):
    """What changes slowly.

    Attributes:
        torque: Whether the servo holds its joint.
        watchdog_tripped: Whether its bus watchdog stopped it.
        voltage: V.
        temperature: Degrees C.
    """

    torque: bool
    watchdog_tripped: bool
    voltage: float
    temperature: int


class ServoState(NamedTuple):
    """One servo at one instant, in its own direction (drive mode included).

    Attributes:
        servo: Id.
        t_ns: Monotonic ns.
        position: rad, 0 at 2048 ticks.
        velocity: rad/s.
        current: A, or None for models that measure load.
        load: Fraction of the largest output, or None for models that measure current.
        error: Hardware errors (register 70).
        alert: Alert bit of the reply.
        health: What changes slowly, when it was asked for.
    """

    servo: int
    t_ns: int
    position: float
    velocity: float
    current: float | None
    load: float | None
    error: HardwareError
    alert: bool
    health: ServoHealth | None


class StateCycle:
    """Reads the state of servos.

    Args:
        bus: Their bus; the servos must be identified.
        servos: Ids, shadows included, in the order in which they answer.

    Attributes:
        newest: The last state of every servo that ever answered; look at its time.
        fast: Whether fast sync read is used; `configure` decides it from the firmware.
    """

    def __init__(self, bus: DynamixelBus, servos: Sequence[int]) -> None:
        self.bus = bus
        self.servos = tuple(servos)
        self.newest: dict[int, ServoState] = {}
        tables = {servo: bus.tables[servo] for servo in self.servos if servo in bus.tables}
        if len(tables) != len(self.servos) or not tables:
            raise ConfigError(f"Servos {set(self.servos) - set(tables)} weren't identified; call bus.identify first.")
        starts = {table.indirect_data for table in tables.values()}
        if len(starts) != 1:
            raise ConfigError(f"Servos whose indirect data start at {sorted(starts)} can't share a cycle; use several.")
        self._tables = tables
        self._address = starts.pop()
        capacity = min(table.indirect_count for table in tables.values())
        self._state_lengths = range(_STATE.size, _FULL_BYTES)
        self._full_lengths = range(_FULL_BYTES, capacity + 1)
        self._capacity = capacity
        self.fast = False
        self._fast_failures = 0

    def configure(self, servos: Sequence[int] | None = None) -> None:
        """Set the indirect addresses up and check them; again after a servo restarted.

        Those that are right already are left alone, so that an arm that holds is not written to.

        Args:
            servos: Which; all if None.

        Raises:
            ServoTimeoutError, ServoRefusedError: When a servo doesn't take them.
        """
        self.fast = all(self.bus.firmware[servo] >= table.fast_firmware for servo, table in self._tables.items())
        self._fast_failures = 0
        for servo in self.servos if servos is None else servos:
            table = self._tables[servo]
            addresses = _layout(table, self._capacity)
            data = b"".join(address.to_bytes(2, "little") for address in addresses)
            if self.bus.read_bytes(servo, table.indirect_address, len(data)) == data:
                continue
            self.bus.write_bytes(servo, table.indirect_address, data)
            if self.bus.read_bytes(servo, table.indirect_address, len(data)) != data:
                raise ServoRestartedError(f"Servo {servo} didn't keep its indirect addresses.", (servo,))

    def read(self, health: bool = False, budget_s: float | None = None) -> dict[int, ServoState]:
        """State of every servo.

        Args:
            health: Whether to read what changes slowly as well.
            budget_s: No repetition starts that might take longer than this in all.

        Raises:
            ServoTimeoutError: Naming those that didn't answer; `newest` has the others.
            ServoRestartedError: Naming those that lost their settings.
            PortLostError: Without port.
        """
        bus = self.bus
        begin = bus.clock()
        states: dict[int, ServoState] = {}
        restarted: list[int] = []
        missing = self.servos
        for attempt in range(1 + bus.transactions.retries):
            if (
                attempt
                and budget_s is not None
                and bus.clock() + self._patience_ns(missing) > begin + budget_s * NS_PER_S
            ):
                break
            bus.statistics.retries += attempt > 0
            fast = self.fast and attempt == 0 and len(missing) > 1
            replies = self._ask(missing, health, fast)
            self._judge_fast(fast, bool(replies), attempt)
            for servo, status in replies.items():
                if status.data[0] != _WITNESS:
                    restarted.append(servo)
                else:
                    states[servo] = self._state(status, health)
            missing = tuple(servo for servo in missing if servo not in replies)
            if not missing:
                break
        self.newest.update(states)
        bus.statistics.count_cycle((bus.clock() - begin) / NS_PER_S)
        if restarted:
            raise ServoRestartedError(
                f"Servos {restarted} lost their settings (power failure or reboot): they have no torque. Support the "
                "arm, configure them again, set goal = present position, then torque on.",
                tuple(restarted),
            )
        if missing:
            raise ServoTimeoutError(
                f"Servos {list(missing)} didn't answer the state cycle, {bus.transactions.retries} repetitions "
                "included. Check their cables and power; hold the arm until they are back.",
                missing,
            )
        return states

    def _ask(self, servos: Sequence[int], health: bool, fast: bool) -> dict[int, Status]:
        transactions = self.bus.transactions
        lengths = self._full_lengths if health else self._state_lengths
        length = transactions.distinct_length(servos, lengths, fast)
        if length is None:
            fast, servos = False, transactions.fence(servos)
            length = transactions.distinct_length(servos, lengths, fast)
        return transactions.gather(servos, self._address, length, fast) if servos and length else {}

    def _patience_ns(self, servos: Sequence[int]) -> int:
        """Longest duration of asking `servos` once more."""
        return self.bus.transactions.patience_ns(len(servos), self._capacity)

    def _judge_fast(self, fast: bool, answered: bool, attempt: int) -> None:
        """Give fast sync read up when it keeps failing where the plain one works."""
        if fast and answered:
            self._fast_failures = 0
        elif fast:
            self._fast_failures += 1
        elif self.fast and attempt == 1 and answered:
            self.bus.statistics.fast_fallbacks += 1
            self.fast = self._fast_failures < _GIVE_UP_FAST_AFTER

    def _state(self, status: Status, health: bool) -> ServoState:
        data = status.data
        _, error, effort, velocity, position = _STATE.unpack_from(data)
        unit = self._tables[status.servo].current_unit_a
        slow = None
        if health:
            torque, watchdog, voltage, temperature = _HEALTH.unpack_from(data, _STATE.size)
            slow = ServoHealth(torque != 0, watchdog < 0, voltage * VOLT_UNIT, temperature)
        return ServoState(
            status.servo,
            self.bus.transactions.sent_ns,
            ticks_to_rad(position),
            velocity * VELOCITY_UNIT_RAD_S,
            None if unit is None else effort * unit,
            effort * LOAD_UNIT if unit is None else None,
            _ERRORS[error],
            status.alert,
            slow,
        )


def _layout(table: ControlTable, capacity: int) -> list[int]:
    """Address of the register behind every indirect byte."""
    effort = "present_current" if "present_current" in table else "present_load"
    names = [name or effort for name in (*_STATE_FIELDS, *_HEALTH_FIELDS)]
    addresses = [table[name].address + byte for name in names for byte in range(table[name].size)]
    filling = [table[name].address for name in _FILLING]
    return addresses + [filling[i % len(filling)] for i in range(capacity - len(addresses))]
