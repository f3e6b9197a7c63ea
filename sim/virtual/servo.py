"""One virtual servo: what it answers, what it aims at, when it protects itself.

After ROBOTIS-GIT/emanual `docs/en/dxl/x/xm430-w350.md` and what it includes. Unconfirmed where the manual is silent:
the error number of a torque write after a shutdown, that any instruction packet feeds the bus watchdog, that a
restart takes 0.2 s, and what `Habits` leaves open. Current and PWM modes leave the joint free. Goals survive torque
off, so that a stale goal makes the joint jump, as it may on the arm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from drivers.dynamixel.messages import ALERT_BIT, HardwareError, Refusal
from drivers.dynamixel.packet import Instruction
from drivers.dynamixel.registers import (
    ACCELERATION_UNIT_RAD_S2,
    CENTRE_TICKS,
    LARGEST_PWM,
    LOAD_UNIT,
    RAD_PER_TICK,
    TICK_WRAP_MS,
    VELOCITY_UNIT_RAD_S,
    WATCHDOG_UNIT_S,
    ControlTable,
    Register,
)
from drivers.dynamixel.tables import XM540_W270
from sim.virtual.memory import ControlMemory
from sim.virtual.motors import Drive, Motion
from sim.virtual.profile import Profile
from sim.virtual.protection import Protection
from sim.virtual.write_rules import LIMIT_OF, refusal_of, tripped
from trajectories.numbers import NS_PER_S

_REVERSE, _TIMED, _TORQUE_BY_GOAL = 1, 4, 8
_VELOCITY_MODE = 1
_POSITION_MODES = (3, 4, 5)
_CLEAR_TURNS = b"\x01\x44\x58\x4c\x22"


class Reply(NamedTuple):
    """What the servo would answer: error field and data."""

    error: int
    data: bytes = b""


@dataclass(frozen=True)
class Habits:
    """What the manual leaves open, so that drivers can be tried on either. All *unconfirmed*.

    Attributes:
        resumes_goal: Whether a servo heads for the goal from before its watchdog tripped once the trip is cleared, as
            fast as it can, since the trip zeroed its profiles.
        reverses_effort: Whether reverse mode turns the sign of velocity, current, load and PWM as well as that of the
            positions. `_includes/en/dxl/control_table_drivemode.md` says that it does for the XM540, and names the
            positions only for the XM430 and XL430; None: as it says.
    """

    resumes_goal: bool = True
    reverses_effort: bool | None = None


class VirtualServo:
    """A servo with its memory, trajectory and protection.

    Args:
        servo: Id.
        table: Model.
        joint: Index of the joint that it turns.
        mount: 1, or -1 when it is mounted the other way round, so that its shaft turns against the joint.
        firmware: Version that it reports.
        boot_s: Seconds that a restart takes.
        habits: What the manual leaves open; None takes the defaults.

    Attributes:
        memory: Its registers.
        protection: Load, heat, voltage.
        joint: Index of the joint.
    """

    def __init__(
        self,
        servo: int,
        table: ControlTable,
        joint: int,
        mount: int = 1,
        firmware: int = 46,
        boot_s: float = 0.2,
        habits: Habits | None = None,
    ) -> None:
        self.memory = ControlMemory(table)
        self.memory.set("id", servo)
        self.memory.set("firmware_version", firmware)
        self.protection = Protection()
        self.joint = joint
        self._mount = mount
        self._habits = habits or Habits()
        self._boot_ns = round(boot_s * NS_PER_S)
        self._profile = Profile(0.0)
        self._registered: tuple[int, bytes] | None = None
        self._motion = Motion(0.0, 0.0, 0.0)
        self._off = False
        self._back_ns = self._booted_ns = self._now_ns = self._heard_ns = 0

    # -- state --------------------------------------------------------------------------------------
    @property
    def servo(self) -> int:
        """Id."""
        return self.memory.get("id")

    @property
    def secondary(self) -> int | None:
        """The other id that it listens to, or None."""
        value = self.memory.get("secondary_id")
        return value if value <= 252 and value != self.servo else None

    @property
    def torque(self) -> bool:
        """Whether it holds its joint."""
        return self.memory.get("torque_enable") != 0

    @property
    def hardware_error(self) -> HardwareError:
        """Register 70."""
        return HardwareError(self.memory.get("hardware_error_status"))

    def listens(self, now_ns: int) -> bool:
        """Whether it has power and isn't restarting."""
        return not self._off and now_ns >= self._back_ns

    # -- time ---------------------------------------------------------------------------------------
    def place(self, motion: Motion, now_ns: int) -> None:
        """Power it on at rest with its joint somewhere."""
        self._motion = motion
        self._now_ns = now_ns
        self._boot(now_ns)
        self._back_ns = now_ns

    def plan(self, now_ns: int, supply_v: float) -> Drive:
        """Let its controller run until `now_ns`; returns what its motor does."""
        seconds = max(now_ns - self._now_ns, 0) / NS_PER_S
        self._now_ns = now_ns
        self._power(supply_v, now_ns)
        if not self.torque or self._off:
            self._profile.hold(self._ticks())
            return Drive(self.joint, False, self._motion.position)
        if self._watchdog_due(now_ns):
            self._stop_for_silence()
        mode = self.memory.get("operating_mode")
        if mode == _VELOCITY_MODE and not tripped(self.memory):
            speed = self.memory.get("goal_velocity") * VELOCITY_UNIT_RAD_S / RAD_PER_TICK
            self._profile.hold(self._profile.position + speed * seconds)
        elif mode in _POSITION_MODES:
            self._profile.advance(seconds)
        target = self._joint_angle(self._profile.position)
        strength = abs(self.memory.get("goal_pwm")) / LARGEST_PWM
        return Drive(self.joint, mode in (_VELOCITY_MODE, *_POSITION_MODES), target, strength)

    def feel(self, now_ns: int, motion: Motion, supply_v: float, seconds: float) -> None:
        """Take in how the shaft moved; updates what can be read and trips when it must."""
        self._motion = motion
        if self._off:
            return
        set_ = self.memory.set
        sign = self._effort_sign
        velocity = round(sign * motion.velocity / VELOCITY_UNIT_RAD_S)
        set_("present_position", round(self._ticks()))
        set_("present_velocity", velocity)
        self._set_effort(sign * motion.load)
        set_("moving", int(abs(velocity) > self.memory.get("moving_threshold")))
        set_("position_trajectory", round(self._profile.position))
        set_("velocity_trajectory", round(self._profile.velocity * RAD_PER_TICK / VELOCITY_UNIT_RAD_S))
        set_("present_input_voltage", round(supply_v * 10))
        set_("realtime_tick", (now_ns - self._booted_ns) // 1_000_000 % TICK_WRAP_MS)
        errors = self.protection.advance(seconds, motion.load, supply_v, self.memory)
        set_("present_temperature", round(self.protection.temperature_c))
        if errors:
            self.trip(errors)

    def trip(self, errors: HardwareError) -> None:
        """Protect itself: torque off, with the reason in register 70, until it is restarted."""
        self.memory.set("hardware_error_status", int(self.hardware_error | errors))
        self.memory.set("torque_enable", 0)

    # -- the line -----------------------------------------------------------------------------------
    def heard(self, now_ns: int) -> None:
        """Note that an instruction packet passed on the line; it feeds the watchdog."""
        self._heard_ns = now_ns

    def handle(self, instruction: int, params: bytes) -> Reply | None:
        """Carry an instruction for this servo out; None when it doesn't answer that kind."""
        level = self.memory.get("status_return_level")
        reply = self._carry_out(instruction, params)
        if instruction == Instruction.PING:
            return reply
        if instruction == Instruction.READ:
            return reply if level >= 1 else None
        return reply if level >= 2 else None

    def shadow(self, instruction: int, params: bytes) -> None:
        """Carry an instruction for the secondary id out: only writes to RAM, never answered."""
        if instruction == Instruction.ACTION:
            self._act()
        elif instruction in (Instruction.WRITE, Instruction.REG_WRITE) and len(params) > 2:
            address = int.from_bytes(params[:2], "little")
            if address >= 64:
                self._carry_out(instruction, params)

    def read(self, address: int, length: int) -> Reply:
        """Answer to a read."""
        data = self.memory.read(address, length)
        return self._reply(Refusal.ACCESS) if data is None else self._reply(0, data)

    def write(self, address: int, data: bytes) -> Reply:
        """Answer to a write, after doing it."""
        refusal, writes = self.memory.check(address, data, self.torque)
        for register, value in writes:
            refusal = refusal or refusal_of(register, value, self.memory)
        if not refusal:
            for register, value in writes:
                self._set(register, value)
        return self._reply(refusal)

    def reboot(self, now_ns: int) -> None:
        """Restart: RAM back to initial values."""
        self._boot(now_ns)

    def _carry_out(self, instruction: int, params: bytes) -> Reply:
        address = int.from_bytes(params[:2], "little")
        if instruction == Instruction.PING:
            return self._reply(0, self.memory.read(0, 2) or b"", bytes((self.memory.get("firmware_version"),)))
        if instruction == Instruction.READ and len(params) == 4:
            return self.read(address, int.from_bytes(params[2:], "little"))
        if instruction == Instruction.WRITE and len(params) > 2:
            return self.write(address, params[2:])
        if instruction == Instruction.REG_WRITE and len(params) > 2:
            refusal, _ = self.memory.check(address, params[2:], self.torque)
            if not refusal:
                self._registered = (address, params[2:])
                self.memory.set("registered_instruction", 1)
            return self._reply(refusal)
        if instruction == Instruction.ACTION:
            return self._act()
        if instruction == Instruction.CLEAR:
            moving = self.memory.get("moving")
            return self._reply(Refusal.RESULT if moving else 0 if params == _CLEAR_TURNS else Refusal.DATA_RANGE)
        if instruction == Instruction.FACTORY_RESET and params in (b"\x01", b"\x02", b"\xff"):
            keep = {1: ("id",), 2: ("id", "baud_rate")}.get(params[0], ())
            self.memory.restore_eeprom(keep)
            return self._reply(0)
        if instruction == Instruction.REBOOT:
            reply = self._reply(0)
            self.reboot(self._now_ns)
            return reply
        return self._reply(Refusal.INSTRUCTION)

    def _act(self) -> Reply:
        if self._registered is None:
            return self._reply(Refusal.INSTRUCTION)
        address, data = self._registered
        self._registered = None
        self.memory.set("registered_instruction", 0)
        return self.write(address, data)

    def _reply(self, refusal: int, *data: bytes) -> Reply:
        return Reply(int(refusal) | (ALERT_BIT if self.hardware_error else 0), b"".join(data))

    # -- writes -------------------------------------------------------------------------------------
    def _set(self, register: Register, value: int) -> None:
        name, memory = register.name, self.memory
        before = self.torque
        was_tripped = tripped(self.memory)
        memory.store(register, value)
        if name == "goal_position":
            if memory.get("drive_mode") & _TORQUE_BY_GOAL and not self.hardware_error:
                memory.set("torque_enable", 1)
            if self.torque:
                self._head_for(value)
        elif name == "torque_enable" and value and not before:
            self._heard_ns = self._now_ns
            self._profile.hold(self._ticks())
            self._head_for(memory.get("goal_position"))
        elif name == "bus_watchdog":
            self._heard_ns = self._now_ns
            if was_tripped:
                self._zero_profiles()
                if self._habits.resumes_goal and self.torque:
                    self._head_for(memory.get("goal_position"))
        elif name == "operating_mode":
            self._zero_profiles()

    def _head_for(self, goal: int) -> None:
        velocity, acceleration = self.memory.get("profile_velocity"), self.memory.get("profile_acceleration")
        if velocity == 0:
            self._profile.start(goal, math.inf, math.inf)
        elif self.memory.get("drive_mode") & _TIMED:
            self._profile.start_timed(goal, velocity / 1000, acceleration / 1000)
        else:
            speed = min(velocity, self.memory.get("velocity_limit")) * VELOCITY_UNIT_RAD_S / RAD_PER_TICK
            ramp = acceleration * ACCELERATION_UNIT_RAD_S2 / RAD_PER_TICK if acceleration else math.inf
            self._profile.start(goal, speed, ramp)

    # -- watchdog, power ----------------------------------------------------------------------------
    def _watchdog_due(self, now_ns: int) -> bool:
        value = self.memory.get("bus_watchdog")
        return value > 0 and now_ns - self._heard_ns > value * WATCHDOG_UNIT_S * NS_PER_S

    def _stop_for_silence(self) -> None:
        """The line fell silent: brake where it is."""
        self.memory.set("bus_watchdog", -1)
        self._profile.hold(self._profile.position)
        self._zero_profiles()

    def _zero_profiles(self) -> None:
        self.memory.set("profile_velocity", 0)
        self.memory.set("profile_acceleration", 0)

    def _power(self, supply_v: float, now_ns: int) -> None:
        if supply_v < self.protection.brown_out_v:
            self._off = True
            self.memory.set("torque_enable", 0)
        elif self._off:
            self._off = False
            self._boot(now_ns)

    def _boot(self, now_ns: int) -> None:
        self.memory.restore_ram()
        self.protection.reset()
        self._registered = None
        self._booted_ns = self._heard_ns = now_ns
        self._back_ns = now_ns + self._boot_ns
        self._profile.hold(self._ticks())
        self.memory.set("present_position", round(self._ticks()))
        self.memory.set("goal_position", round(self._ticks()))
        for name in ("goal_pwm", "goal_current"):
            if name in self.memory.table:
                self.memory.set(name, self.memory.get(LIMIT_OF[name]))

    # -- directions and units -----------------------------------------------------------------------
    @property
    def _sign(self) -> int:
        return -self._mount if self.memory.get("drive_mode") & _REVERSE else self._mount

    @property
    def _effort_sign(self) -> int:
        reverses = self._habits.reverses_effort
        if reverses is None:
            reverses = self.memory.table.number == XM540_W270.number
        return self._sign if reverses else self._mount

    def _ticks(self) -> float:
        turn = self._sign * self._motion.position / RAD_PER_TICK
        return CENTRE_TICKS + turn + self.memory.get("homing_offset")

    def _joint_angle(self, ticks: float) -> float:
        return self._sign * (ticks - CENTRE_TICKS - self.memory.get("homing_offset")) * RAD_PER_TICK

    def _set_effort(self, load: float) -> None:
        table = self.memory.table
        self.memory.set("present_pwm", round(load * LARGEST_PWM))
        if table.current_unit_a is None:
            self.memory.set("present_load", round(load / LOAD_UNIT))
        else:
            self.memory.set("present_current", round(load * table.stall_current_a / table.current_unit_a))
