"""Decide from each cycle's reading: go on, rest before a servo trips, or stop for a fault. Pure.

Rest and faults are latched in a `FaultLatch` until a person's word; one instance for each servo or cause.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from drivers.dynamixel.cycle import ServoHealth, ServoState
from drivers.dynamixel.messages import HardwareError
from drivers.dynamixel.servo_map import ServoMap
from drivers.widowx.reading import Reading, output
from drivers.widowx.settings import GuardLimits
from robot.control.faults import FaultLatch, reason_of
from trajectories.numbers import NS_PER_S

_CLEAR = "then clear it"
_REBOOT = "which restarts the servos of this joint (they are free for a moment)"
ADVICE = {
    HardwareError.OVERLOAD: "The joint has no torque. Support the arm, take away what it pushes or lifts, "
    f"{_CLEAR}, {_REBOOT}.",
    HardwareError.OVERHEATING: "The joint has no torque. Support the arm, let the servo cool for some minutes, "
    f"{_CLEAR}, {_REBOOT}.",
    HardwareError.SHOCK: "The joint has no torque. Support the arm, check the power supply and the cables for a short "
    f"circuit, {_CLEAR}, {_REBOOT}.",
    HardwareError.VOLTAGE: f"Check the power supply (12 V) and its plugs, {_CLEAR}.",
    HardwareError.ENCODER: "The servo doesn't know its position any more: replace it.",
}


def servo_title(model: ServoMap, servo: int) -> str:
    """E.g. "Servo 3 (shoulder_shadow, joint shoulder)"."""
    place = model.place(servo)
    joint = model.joint_name(place.joint)
    return f"Servo {servo} ({place.name}{'' if place.name == joint else f', joint {joint}'})"


_LONGEST_STEP_S = 0.1


class Level(IntEnum):
    """How bad it is."""

    OK = 0
    REST = 1
    FAULT = 2


class Verdict(NamedTuple):
    """What to do, and why.

    Attributes:
        level: OK, REST (go to the sleep pose and stay) or FAULT (freeze).
        reason: For a person: servo, joint, what happened, what to do.
    """

    level: Level
    reason: str = ""


class Guard:
    """Watches the servos of one arm.

    Args:
        model: The arm.
        limits: When to rest.
        now_ns: Monotonic ns.
        latch: What stands already, and where the guard's faults go; None takes an empty one.
    """

    def __init__(self, model: ServoMap, limits: GuardLimits, now_ns: int, latch: FaultLatch | None = None) -> None:
        self._model, self._limits = model, limits
        self._latch = FaultLatch() if latch is None else latch
        self.restart(now_ns)

    def restart(self, now_ns: int) -> None:
        """Begin to watch anew, after the servos were taken over; what stands goes on standing."""
        self._missing: dict[int, float] = {}
        self._now_ns = now_ns
        self._seen = dict.fromkeys(self._model.servos, now_ns)
        self._health: dict[int, ServoHealth] = {}
        self._timers: dict[tuple[str, int, float], float] = {}

    @property
    def verdict(self) -> Verdict:
        """The present one, of what the servos do; a person's hold is none of it."""
        faults = reason_of(fault for fault in self._latch.standing if fault.kind == "fault")
        if faults:
            return Verdict(Level.FAULT, faults)
        rests = reason_of(fault for fault in self._latch.standing if fault.kind == "rest")
        return Verdict(Level.REST, rests) if rests else Verdict(Level.OK)

    @property
    def healths(self) -> dict[int, ServoHealth]:
        """What was read last of what changes slowly, by servo."""
        return dict(self._health)

    def trip(self, key: str, reason: str) -> None:
        """Latch a fault that was noticed elsewhere; the newest reason for a key counts, as a new instance."""
        self._latch.trip(reason, key=key, renew=True)

    def rest(self, reason: str) -> None:
        """Send the arm to rest for what was noticed elsewhere; the first reason counts."""
        self._to_rest(reason)

    def update(self, reading: Reading, now_ns: int) -> Verdict:
        """Judge a reading.

        Args:
            reading: Of this cycle, complete or not.
            now_ns: Monotonic ns.
        """
        seconds = min(max((now_ns - self._now_ns) / NS_PER_S, 0.0), _LONGEST_STEP_S)
        self._now_ns = now_ns
        for servo in reading.restarted:
            self._seen[servo] = now_ns
            self._fault(
                servo,
                "restarted (its supply failed for a moment): it lost its settings and has no torque. Support the arm, "
                f"check its cable and the power supply, {_CLEAR}.",
            )
        for servo, state in reading.states.items():
            self._seen[servo] = now_ns
            if state.health is not None:
                self._health[servo] = state.health
            self.note_error(state.servo, state.error)
            self._check_load(state, seconds)
        for servo, health in self._health.items():
            self._check_health(servo, health, seconds)
        self._check_missing()
        self._check_pairs(reading, seconds)
        return self.verdict

    # -- faults -------------------------------------------------------------------------------------
    def _fault(self, servo: int, text: str) -> None:
        self._latch.trip(f"{servo_title(self._model, servo)} {text}", key=str(servo))

    def note_error(self, servo: int, error: int) -> None:
        """Latch what a servo's error register says, 0 being nothing."""
        if not error:
            return
        bits = [bit for bit in HardwareError if error & bit]
        names = " and ".join(bit.name.lower() for bit in bits if bit.name) or f"error {int(error)}"
        advice = " ".join(ADVICE[bit] for bit in bits[:1])
        self._fault(servo, f"reports {names}. {advice}")

    def _check_missing(self) -> None:
        """One fault for all that are silent: what cuts off several has one cause."""
        silent_s = {servo: (self._now_ns - seen) / NS_PER_S for servo, seen in self._seen.items()}
        longest_s = max(silent_s.values())
        if longest_s <= self._limits.missing_s:
            return
        cut_off = min(silent_s.values()) > 0.5 * self._limits.missing_s
        known = {fault.key for fault in self._latch.standing}
        for servo, seconds in silent_s.items():
            if (cut_off or seconds > self._limits.missing_s) and str(servo) not in known:
                self._missing.setdefault(servo, seconds)
        if self._missing:
            self.trip("silence", self._describe_missing())

    def _describe_missing(self) -> str:
        servos, longest_s = sorted(self._missing), max(self._missing.values())
        if len(servos) == len(self._model.servos):
            return (
                f"No servo has answered in time for {longest_s:.2f} s. Support the arm, check its power supply and the "
                f"cable from the USB adapter to the first servo, {_CLEAR}."
            )
        titles = ", ".join(servo_title(self._model, servo) for servo in servos)
        verb, cable = ("hasn't", "its cable") if len(servos) == 1 else ("haven't", "the first one's cable")
        return (
            f"{titles} {verb} answered for {longest_s:.2f} s. Support the arm, check {cable} and the one before it, "
            f"{_CLEAR}."
        )

    def _check_pairs(self, reading: Reading, seconds: float) -> None:
        for place in self._model.places:
            if not place.is_shadow or not {place.servo, place.secondary_id} <= set(reading.states):
                continue
            away = reading.states[place.servo].position - reading.states[place.secondary_id].position
            wrong = abs(away) > self._limits.pair_rad
            if self._longer("pair", place.servo, 0.0, wrong, seconds, self._limits.pair_s):
                self._fault(
                    place.servo,
                    f"reads {away:+.2f} rad more than servo {place.secondary_id} of the same joint. Support the arm, "
                    "switch the power off and check that no horn slipped.",
                )

    def _check_health(self, servo: int, health: ServoHealth, seconds: float) -> None:
        if health.watchdog_tripped:
            self._fault(
                servo,
                "stopped by its bus watchdog: it heard nothing for too long (was the computer overloaded or asleep?). "
                f"It holds its place; {_CLEAR}.",
            )
        elif not health.torque:
            self._fault(servo, f"has no torque although nothing here switched it off. Support the arm, {_CLEAR}.")
        trips_at = self._model.place(servo).table["temperature_limit"].initial
        hot = health.temperature >= trips_at - self._limits.temperature_margin_c
        if self._longer("temperature", servo, 0.0, hot, seconds, self._limits.temperature_s):
            self._to_rest(
                f"{servo_title(self._model, servo)} is {health.temperature} C hot and would trip at {trips_at}. Let it "
                f"cool in the sleep pose, {_CLEAR}."
            )
        bad = not self._limits.lowest_v <= health.voltage <= self._limits.highest_v
        if self._longer("voltage", servo, 0.0, bad, seconds, self._limits.voltage_s):
            self._to_rest(
                f"{servo_title(self._model, servo)} has a supply of {health.voltage:.1f} V, expected "
                f"{self._limits.lowest_v} ... {self._limits.highest_v}. Check the power supply, {_CLEAR}."
            )

    # -- rest ---------------------------------------------------------------------------------------
    def _check_load(self, state: ServoState, seconds: float) -> None:
        place = self._model.place(state.servo)
        part = abs(output(place, state))
        for level, allowed_s in self._limits.load_levels:
            if self._longer("load", state.servo, level, part > level, seconds, allowed_s):
                text = f"carried {part:.0%} of its stall torque, more than {level:.0%} for {allowed_s} s"
                if self._resting:
                    self._fault(state.servo, f"{text}, in spite of resting. Free the arm, {_CLEAR}.")
                else:
                    self._to_rest(
                        f"{servo_title(self._model, state.servo)} {text}: the arm rests before it trips. Take away "
                        f"what it pushes or lifts, {_CLEAR}."
                    )
                return

    def _to_rest(self, reason: str) -> None:
        """Latch the first reason; what relieves the servos gets its full time."""
        if not self._resting:
            self._latch.trip(reason, "rest", key="rest")
            self._timers = {key: 0.0 if key[0] == "load" else value for key, value in self._timers.items()}

    @property
    def _resting(self) -> bool:
        return any(fault.kind == "rest" for fault in self._latch.standing)

    def _longer(self, kind: str, servo: int, level: float, on: bool, seconds: float, allowed_s: float) -> bool:
        """Whether something has been on for longer than allowed; the timer runs back while it is off."""
        key = kind, servo, level
        timer = max(self._timers.get(key, 0.0) + (seconds if on else -seconds), 0.0)
        self._timers[key] = timer
        return timer > allowed_s
