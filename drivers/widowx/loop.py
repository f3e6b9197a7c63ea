"""`ControlLoop`: read all servos, check them, advance the setpoints, write the goals. It belongs to one thread.

FOLLOW  towards the newest command; without a new one for a while: brake and hold
SLEEP   asked for: slowly to the sleep pose, then hold
REST    the guard saw trouble coming: let go of what is pushed, then to the sleep pose; until a person clears it
HOLD    a person said so, in whatever mode: no setpoint moves, the gripper's neither; until a person clears it
FAULT   something failed: every joint that still can holds where it is, as in HOLD; until a person clears it
LOST    a fault with the port gone: it is opened again and the servos are made to hold; until a person clears it

What stands is in a `FaultLatch`; REST is the only mode that moves anything while something stands, and a hold or
fault stops it, too.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Sequence

from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.cycle import StateCycle
from drivers.dynamixel.registers import ticks_to_rad
from drivers.dynamixel.servo_map import ServoMap
from drivers.errors import PortLostError
from drivers.hosting.checks import Mode, require_free
from drivers.widowx import startup
from drivers.widowx.gripper import GripperControl
from drivers.widowx.guard import Guard, Level
from drivers.widowx.reading import Reading, ServoStatus, arm_state, output, read_cycle, read_first, statuses
from drivers.widowx.setpoints import GoalWriter, Interpolator, SleepMotion
from drivers.widowx.settings import ArmSettings
from drivers.widowx.stopping import Stopping
from robot.control.faults import FaultLatch, require_every_fault, require_known, require_person
from robot.interfaces import ArmState
from trajectories.errors import ConfigError, DeviceError, RegraspError, SafetyError
from trajectories.numbers import NS_PER_S
from trajectories.types import Command

_RELAX_S = 0.8
_FAULT_LAG = 0.05
"""rad between setpoint and joint that a frozen joint may keep: more would go on pushing what is in its way."""
_SEARCHES = 8
_SLEEPS_WITHIN = 0.15
"""rad between a joint and the sleep pose at which the arm rests on itself."""
_LOST = "The arm's port went away; the servos held by themselves."
_log = logging.getLogger(__name__)


class ControlLoop:
    """The driver without its thread.

    Args:
        bus: Open; from here on it belongs to whoever calls `cycle`.
        model: The arm.
        settings: See `ArmSettings`.
        latch: What stands already; None takes an empty one. With a fault in it, no torque is switched on.

    Attributes:
        latch: What stands.
        state: Newest joint state, or None before the first complete one.
        guard: Latches faults.
        goals: What was written last.
        incomplete: Cycles in which a servo didn't answer.

    Raises:
        DeviceError, ConfigError, SafetyError: When servos are missing, other than expected, or can't be taken over.
            Servos that report a hardware error don't raise: the fault is latched and `recover` reboots them.
    """

    def __init__(
        self, bus: DynamixelBus, model: ServoMap, settings: ArmSettings, latch: FaultLatch | None = None
    ) -> None:
        self.bus, self.model, self.settings = bus, model, settings
        self.latch = FaultLatch() if latch is None else latch
        self._mode, self._frozen = Mode.FOLLOW, False
        self.state: ArmState | None = None
        self.incomplete = 0
        startup.verify_servos(bus, model)
        startup.verify_settings(bus, model, settings.joint_offsets)
        self._reader = StateCycle(bus, model.servos)
        self.goals = GoalWriter(bus, model, settings.gripper.squeeze)
        self.guard = Guard(model, settings.guard, bus.clock(), self.latch)
        joints = len(model.joints)
        self.motion = Interpolator([0.0] * joints, [settings.motion] * joints, settings.period_s)
        self.gripper = GripperControl(model.linkage, settings.gripper, settings.period_s, 0.0)
        self._stopping = Stopping(self.motion, self.gripper, self.goals.inside)
        self._fold = SleepMotion(model.sleep, settings.sleep_motion)
        self._command: Command | None = None
        self._command_ns = self._relax_until_ns = self._reopen_ns = 0
        self._cycles = self._failures = 0
        self._pwm = settings.gripper.pwm
        self._lost = self._astray = False
        self._take_all_over(switch_on=not any(fault.kind == "fault" for fault in self.latch.standing))
        self._stand()

    @property
    def mode(self) -> Mode:
        """What it does."""
        holds = self._frozen and self._mode not in (Mode.FAULT, Mode.LOST)
        return Mode.HOLD if holds else self._mode

    # -- what it is told ----------------------------------------------------------------------------
    def follow(self, command: Command) -> None:
        """Take a new command; its joints are moved into the limits.

        Raises:
            SafetyError: While something stands.
        """
        self.require_free()
        self._command, self._command_ns = command, self.bus.clock()
        self._mode = Mode.FOLLOW
        self._stopping.cancel()
        self.motion.head_for(self.goals.inside(command.joints.tolist()))
        self.gripper.aim(command.gripper_width)

    def hold(self) -> None:
        """Stop: at the setpoint when the arm is near it, otherwise where the arm is; the gripper stops, too.

        A rest that is stopped this way would move on by itself: this hold stands until a person clears it.
        """
        if self._frozen:
            return
        if self._mode is Mode.REST:
            self.latch.trip("The arm was told to hold on its way to the sleep pose.", "hold")
            self._stand()
            return
        self._mode, self._command = Mode.FOLLOW, None
        self._stopping.begin(self.settings.hold_lag)

    def start_sleeping(self) -> None:
        """Begin the way to the sleep pose.

        Raises:
            SafetyError: While a hold or fault stands.
        """
        if self.mode is Mode.REST:
            return
        self.require_free()
        self._mode, self._command = Mode.SLEEP, None
        self._stopping.cancel()
        self._fold = SleepMotion(self.goals.inside(self.model.sleep), self.settings.sleep_motion)

    @property
    def sleeping(self) -> bool:
        """Whether setpoints and measured joints are in the sleep pose."""
        return self.mode in (Mode.SLEEP, Mode.REST) and self._fold.arrived(self.motion) and self.lies

    @property
    def lies(self) -> bool:
        """Whether the arm, as measured, lies in its sleep pose."""
        state = self.state
        return state is not None and all(
            abs(a - b) <= _SLEEPS_WITHIN for a, b in zip(state.joints, self.model.sleep, strict=True)
        )

    def require_free(self) -> None:
        """Refuse motion while something stands.

        Raises:
            SafetyError: With the reason.
        """
        require_free(self.latch.standing)

    def health(self) -> dict[int, ServoStatus]:
        """How every servo is doing, by id."""
        return statuses(self.model, dict(self._reader.newest), self.guard.healths)

    def recover(self, person: str, ids: Sequence[str]) -> None:
        """End these instances, on the word of a person who looks at the arm and supports it; others go on standing.

        For faults and rests, servos with a hardware error are restarted together with the others of their joint; then
        everything is configured and taken over where it is. Nothing is done to the servos for a hold alone.

        Raises:
            SafetyError: Without a name, for what doesn't stand, when a fault isn't named that stands beside others,
                or when the cause isn't gone.
            DeviceError: When servos don't answer.
        """
        require_person(person)
        standing = self.latch.standing
        require_known(ids, standing)
        if any(fault.kind != "hold" for fault in standing if fault.id in ids):
            require_every_fault(ids, standing)
            self._restore_servos()
        self.latch.clear(person, ids)
        self._stand()
        _log.warning("Cleared by %s: %s.", person, ", ".join(ids))

    def _restore_servos(self) -> None:
        """Restart what tripped and take everything over."""
        if self._lost:
            raise SafetyError(f"The port isn't back. {self.guard.verdict.reason}")
        startup.require_cool(self.bus, self.model, self.settings.guard.temperature_margin_c)
        self._astray = True
        try:
            startup.verify_servos(self.bus, self.model)
            braked = startup.disarm_watchdogs(self.bus, self.model)
            startup.reboot_tripped(self.bus, self.model)
            startup.require_no_errors(self.bus, self.model)
            startup.require_pairs_agree(self.bus, self.model)
            self._take_all_over(braked)
        except RegraspError as error:
            self._mode = Mode.FAULT
            self.guard.trip("recovery", f"Clearing the fault failed: {error}")
            with contextlib.suppress(DeviceError):
                startup.arm_watchdogs(self.bus, self.model, self.settings)
            raise
        self._mode = Mode.FOLLOW

    def release(self) -> tuple[bool, str]:
        """Prepare for closing: torque off if the arm lies in its sleep pose, else it holds; whether off, and in words.

        Raises:
            DeviceError: When servos don't answer.
        """
        with contextlib.suppress(SafetyError):  # what tripped beyond its limits goes on holding
            startup.disarm_watchdogs(self.bus, self.model)
        if self._mode is Mode.SLEEP and self.sleeping and not self.latch.standing:
            for servo in self.model.servos:
                self.bus.write(servo, "torque_enable", 0)
            return True, "The arm lies in its sleep pose; torque is off."
        return False, "The arm is not in its sleep pose: it HOLDS WITH TORQUE ON. Support it before you switch it off."

    # -- the cycle ----------------------------------------------------------------------------------
    def cycle(self) -> None:
        """Run once; errors of the line become faults."""
        try:
            if self._lost:
                self._try_reopen()
            else:
                self._control()
        except PortLostError as error:
            self._lose(error)
        except DeviceError as error:
            self.latch.trip(f"The servos can't be controlled: {error} Look at the arm, then clear it.", key="line")

    def _control(self) -> None:
        health = self._cycles % self.settings.health_every == 0
        self._cycles += 1
        # A failed attempt is made up for by the next cycle; when that fails as well, it is worth finding out who.
        search = 2 <= self._failures < _SEARCHES
        reading = read_cycle(self._reader, health, None if search else self.settings.period_s)
        self._note(reading)
        self._obey(reading)
        if self._astray:
            return
        joints = self._plan()
        gripper = self._grip(reading)
        self.goals.write([*self.goals.inside(joints), self.goals.inside_gripper(gripper)])
        if self.gripper.pwm != self._pwm:
            self._write_force(self.gripper.pwm)

    def _note(self, reading: Reading) -> None:
        """Publish the joint state; set the indirect registers of restarted servos up again."""
        incomplete = bool(reading.missing or reading.restarted)
        self._failures = self._failures + 1 if incomplete else 0
        self.incomplete += incomplete
        newest = self._reader.newest
        if len(newest) == len(self.model.servos):
            self.state = arm_state(self.model, newest, self.gripper.pwm)
        for servo in reading.restarted:
            try:
                self._reader.configure([servo])
            except PortLostError:
                raise
            except DeviceError as error:
                _log.info("Servo %d isn't ready after its restart: %s", servo, error)
        if self._astray and not incomplete and self.state is not None:
            self.motion.restart(self.goals.inside(self.state.joints.tolist()))
            squeeze = ticks_to_rad(self.bus.read(self.model.gripper.servo, "goal_position"))
            self.gripper.restart(self.goals.inside_gripper(squeeze))
            self._astray = False

    def _obey(self, reading: Reading) -> None:
        """Change the mode as the guard and what stands say."""
        self.guard.update(reading, self.bus.clock())
        self._stand()

    def _stand(self) -> None:
        """The rule: where something stands, stop; only a rest goes to the sleep pose, unless a hold or fault stands."""
        verdict = self.guard.verdict
        held = any(fault.kind == "hold" for fault in self.latch.standing)
        frozen = held or verdict.level is Level.FAULT
        if verdict.level is Level.FAULT and self._mode not in (Mode.FAULT, Mode.LOST):
            self._mode = Mode.FAULT
            _log.error("Arm fault: %s", verdict.reason)
        rests = verdict.level is Level.REST and self._mode in (Mode.FOLLOW, Mode.SLEEP)
        if rests:
            self._mode = Mode.REST
            _log.warning("The arm rests: %s", verdict.reason)
        self._command = None if frozen or rests else self._command
        if frozen and not self._frozen:
            self._mode = Mode.FOLLOW if self._mode is Mode.SLEEP else self._mode
            self._stopping.begin(_FAULT_LAG if verdict.level is Level.FAULT else self.settings.hold_lag)
        elif not frozen and (rests or (self._frozen and self._mode is Mode.REST)):
            self._relax_until_ns = self.bus.clock() + round(_RELAX_S * NS_PER_S)
            self._fold = SleepMotion(self.goals.inside(self.model.sleep), self.settings.sleep_motion)
            self._stopping.begin(0.0)
        self._frozen = frozen

    def _plan(self) -> list[float]:
        """New setpoints, rad."""
        silent_ns = self.bus.clock() - self._command_ns
        if self._command and silent_ns > self.settings.command_timeout_s * NS_PER_S:
            self._command = None
            self.motion.brake()
            self.gripper.stop()
        relaxing = self._mode is Mode.REST and self.bus.clock() < self._relax_until_ns
        if self._mode in (Mode.SLEEP, Mode.REST) and not relaxing and not self._frozen:
            return self._fold.step(self.motion)
        self._stopping.look(self.state, self.bus.clock())
        return self.motion.step()

    # -- the gripper --------------------------------------------------------------------------------
    def _grip(self, reading: Reading) -> float:
        place = self.model.gripper
        if (state := reading.states.get(place.servo)) is None:
            return self.gripper.goal
        return self.gripper.step(state.position, state.velocity, output(place, state))

    def _write_force(self, pwm: int) -> None:
        """Set the gripper's largest output, confirmed; when it isn't, the next cycle tries again."""
        try:
            self.bus.write(self.model.gripper.servo, "goal_pwm", pwm, budget_s=0.0)
            self._pwm = pwm
        except PortLostError:
            raise
        except DeviceError as error:
            _log.info("The gripper's force wasn't set: %s", error)

    # -- taking over --------------------------------------------------------------------------------
    def _take_all_over(self, braked: Collection[int] = (), switch_on: bool = True) -> None:
        """Configure and hold, from whatever the servos do now. With a hardware error: only look, and latch it.

        Args:
            braked: Joints whose watchdog had stopped them and was disarmed before.
            switch_on: Whether to switch the torque on where it is off.
        """
        bus, model, settings = self.bus, self.model, self.settings
        self._reader.configure()
        if not self._fit(switch_on):
            self._mode, self._astray = Mode.FAULT, True
            self._first_state()
            return
        braked = {*braked, *startup.disarm_watchdogs(bus, model)}
        startup.configure_ram(bus, model, settings)
        ticks = startup.take_over(bus, model, self.goals.limits, braked=braked, switch_on=switch_on)
        startup.set_running_profiles(bus, model, settings)
        startup.arm_watchdogs(bus, model, settings)
        startup.verify_ram(bus, model, settings, ticks, torque=switch_on)
        *joints, gripper = (ticks_to_rad(t) for t in ticks)
        self._stopping.cancel()
        self.motion.restart(joints)
        self.gripper.restart(gripper)
        self._pwm = settings.gripper.pwm
        self._astray = False
        self._first_state()
        if switch_on:
            self.guard.restart(bus.clock())
            if hot := startup.hot_servo(bus, model, settings.guard.temperature_margin_c):
                self.guard.rest(f"{hot} Let it cool in the sleep pose, then clear it.")

    def _fit(self, switch_on: bool) -> bool:
        """Latch what keeps the servos from being taken over; whether there is nothing."""
        errors = self.bus.sync_read(self.model.servos, "hardware_error_status")
        for servo, error in errors.items():
            self.guard.note_error(servo, error)
        try:
            startup.require_fit(self.bus, self.model, self.settings.guard, switch_on)
        except SafetyError as problem:
            self.guard.trip("start", str(problem))
            return False
        return not any(errors.values())

    def _first_state(self) -> None:
        read_first(self._reader)
        self.state = arm_state(self.model, self._reader.newest, self.gripper.pwm)

    # -- a lost port --------------------------------------------------------------------------------
    def _lose(self, error: PortLostError) -> None:
        self._lost, self._mode, self._command = True, Mode.LOST, None
        self._reopen_ns = self.bus.clock()
        self.guard.trip("port", f"{error} The servos hold by themselves.")
        _log.error("Arm lost: %s", error)

    def _try_reopen(self) -> None:
        """Open the port again and make the servos hold; those that lost their torque stay free until `recover`."""
        if self.bus.clock() < self._reopen_ns:
            return
        self._reopen_ns = self.bus.clock() + round(self.settings.reopen_s * NS_PER_S)
        try:
            self.bus.reopen()
            startup.verify_servos(self.bus, self.model)
            self._take_all_over(switch_on=False)
        except (DeviceError, SafetyError, ConfigError) as error:
            self.guard.trip("port", f"{_LOST} It isn't usable yet: {error}")
            return
        self._lost, self._mode = False, Mode.FAULT
        self.guard.trip("port", f"{_LOST} It is back; the arm holds. Look at it, then clear it.")
        _log.warning("The arm's port is back.")
