"""Find the servos on a port, check and configure them, and make them hold: in steps, each with its own errors."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.messages import HardwareError
from drivers.dynamixel.registers import RAD_PER_TICK, ControlTable, rad_s_to_velocity
from drivers.dynamixel.servo_map import ServoMap, ServoPlace
from drivers.widowx import eeprom
from drivers.widowx.guard import ADVICE, servo_title
from drivers.widowx.settings import ArmSettings, GuardLimits
from trajectories.errors import ConfigError, DeviceError, SafetyError

_WATCHDOG_FIRMWARE = 38
_TAKE_OVER_SPEED = 0.25
"""rad/s inside the servos until all hold: a joint that rests a little beyond its limit moves gently."""
_HELD_RAD = 0.1
_BEYOND_RAD = 0.05
_STEP_TICKS = 2
_SETTLE_S = 0.3


def verify_servos(bus: DynamixelBus, model: ServoMap) -> None:
    """Ping every servo and compare model and firmware.

    Raises:
        ServoTimeoutError: Naming all that don't answer.
        DeviceError: When another model answers or the firmware is too old.
    """
    found = bus.identify(model.servos)
    for place in model.places:
        table: ControlTable = bus.tables[place.servo]
        if table.number != place.table.number:
            raise DeviceError(
                f"Servo {place.servo} ({place.name}) is a {table.model}, expected {place.table.model} on the "
                f"{model.name}. Choose the right arm, or check the servo's id."
            )
        if found[place.servo].firmware < _WATCHDOG_FIRMWARE:
            raise DeviceError(
                f"Servo {place.servo} ({place.name}) has firmware {found[place.servo].firmware}; the bus watchdog "
                f"needs {_WATCHDOG_FIRMWARE}. Update it with DYNAMIXEL Wizard."
            )


def verify_settings(bus: DynamixelBus, model: ServoMap, offsets: Sequence[float] = ()) -> None:
    """Compare the EEPROM with the table and the calibrated joint `offsets` (rad); nothing is written.

    Raises:
        ConfigError: With every difference and what to do.
    """
    found = eeprom.differences(bus, model, offsets)
    if found:
        raise ConfigError(eeprom.describe(found))


def require_pairs_agree(bus: DynamixelBus, model: ServoMap) -> None:
    """Refuse servos of one joint that would pull against each other.

    Raises:
        SafetyError: Naming them.
    """
    away = eeprom.pair_differences(bus, model)
    if away:
        lines = ", ".join(f"{servo_title(model, s)} by {ticks * RAD_PER_TICK:+.3f} rad" for s, ticks in away.items())
        raise SafetyError(
            f"Servos of one joint read different angles: {lines}. They would pull against each other. With the torque "
            "off and the arm supported, calibrate them (drivers.widowx.eeprom.calibrate_shadows), or check the horns."
        )


def hot_servo(bus: DynamixelBus, model: ServoMap, margin: float) -> str:
    """Say which servo isn't yet `margin` degrees C below its own temperature limit; empty when none is."""
    for servo, degrees in bus.sync_read(model.servos, "present_temperature").items():
        limit = model.place(servo).table["temperature_limit"].initial - margin
        if degrees >= limit:
            return f"Servo {servo} is still {degrees} C hot; wait until it is below {limit:.0f} C."
    return ""


def require_cool(bus: DynamixelBus, model: ServoMap, margin: float) -> None:
    """Refuse servos that are not yet `margin` degrees C below their own temperature limit.

    Raises:
        SafetyError: Naming the first.
    """
    if hot := hot_servo(bus, model, margin):
        raise SafetyError(hot)


def require_cool_or_holding(bus: DynamixelBus, model: ServoMap, margin: float) -> None:
    """Refuse to switch the torque on where a servo is hot. An arm that holds has to go on: without torque it drops.

    Raises:
        SafetyError: Naming the hot servo of an arm that isn't held by all its servos.
    """
    hot = hot_servo(bus, model, margin)
    if hot and not all(bus.sync_read(model.servos, "torque_enable").values()):
        raise SafetyError(f"{hot} The torque stays off until then.")


def require_fit(bus: DynamixelBus, model: ServoMap, limits: GuardLimits, torque: bool) -> None:
    """Refuse servos that can't be taken over as they are.

    Args:
        bus: Of the servos.
        model: The arm.
        limits: Of the temperature.
        torque: Whether it will be switched on where it is off.

    Raises:
        SafetyError: Naming those that disagree, or a hot one.
    """
    require_pairs_agree(bus, model)
    if torque:
        require_cool_or_holding(bus, model, limits.temperature_margin_c)


def require_no_errors(bus: DynamixelBus, model: ServoMap) -> None:
    """Refuse servos that report a hardware error.

    Raises:
        SafetyError: Naming servo, bit and what to do.
    """
    for servo, value in bus.sync_read(model.servos, "hardware_error_status").items():
        if value:
            error = HardwareError(value)
            advice = next((text for bit, text in ADVICE.items() if error & bit), "")
            raise SafetyError(f"{servo_title(model, servo)} reports {error.name}. {advice}")


def disarm_watchdogs(bus: DynamixelBus, model: ServoMap) -> set[int]:
    """Switch the bus watchdogs off; returns the joints that had tripped.

    Clearing a trip zeroes the profiles, which means unlimited speed, and a servo may then head for the goal from
    before (*unconfirmed*). So a joint that had tripped gets the place where it is as its goal right after it is
    cleared, before the next joint is touched, and only then a slow profile: a slow one would begin at the old goal.

    Raises:
        SafetyError: When a joint that had tripped lies beyond its servo's limits; nothing was cleared then.
        DeviceError: When a servo doesn't answer or refuses.
    """
    values = bus.sync_read(model.servos, "bus_watchdog")
    tripped = {model.place(servo).joint for servo, value in values.items() if value < 0}
    present = bus.sync_read(model.servos, "present_position")
    for leader in model.leaders:
        if leader.joint in tripped:
            _require_inside(model, leader, present[leader.servo], (leader.min_position, leader.max_position))
    for leader in model.leaders:
        group = [place.servo for place in model.group(leader.joint)]
        if leader.joint in tripped:
            _clear_trip(bus, leader, group)
        else:
            for servo in group:
                if values[servo]:
                    bus.write(servo, "bus_watchdog", 0)
    return tripped


def _clear_trip(bus: DynamixelBus, leader: ServoPlace, group: Sequence[int]) -> None:
    """Clear the trip of the servos of one joint, which stay where they are; see `disarm_watchdogs`."""
    here = bus.read(leader.servo, "present_position")
    goal = min(max(here, leader.min_position), leader.max_position)
    for servo in group:
        bus.write(servo, "bus_watchdog", 0)
        bus.write(servo, "goal_position", goal)
    for servo in group:
        bus.write(servo, "profile_velocity", rad_s_to_velocity(_TAKE_OVER_SPEED))


def arm_watchdogs(bus: DynamixelBus, model: ServoMap, settings: ArmSettings) -> None:
    """Let the servos stop by themselves when the line falls silent."""
    for servo in model.servos:
        bus.write(servo, "bus_watchdog", settings.watchdog_units)


def configure_ram(bus: DynamixelBus, model: ServoMap, settings: ArmSettings) -> None:
    """Write gains, slow profiles and output limits of every servo; the torque stays as it is."""
    p, i, d = settings.position_gains
    values = {
        "profile_acceleration": 0,
        "profile_velocity": rad_s_to_velocity(_TAKE_OVER_SPEED),
        "position_p_gain": p,
        "position_i_gain": i,
        "position_d_gain": d,
    }
    for place in model.places:
        largest = settings.gripper.pwm if place is model.gripper else bus.read(place.servo, "pwm_limit")
        for name, value in {**values, "goal_pwm": largest}.items():
            if bus.read(place.servo, name) != value:
                bus.write(place.servo, name, value)


def verify_ram(
    bus: DynamixelBus, model: ServoMap, settings: ArmSettings, goals: Sequence[int], torque: bool = True
) -> None:
    """Read back everything that taking over wrote.

    Args:
        bus: Of the servos.
        model: The arm.
        settings: What was written.
        goals: Ticks of every joint, gripper last.
        torque: Whether the torque has to be on.

    Raises:
        DeviceError: Naming every register that a servo didn't keep.
    """
    p, i, d = settings.position_gains
    same = {
        "profile_acceleration": 0,
        "profile_velocity": settings.profile_velocity,
        "position_p_gain": p,
        "position_i_gain": i,
        "position_d_gain": d,
        "bus_watchdog": settings.watchdog_units,
        **({"torque_enable": 1} if torque else {}),
    }
    wanted = {name: dict.fromkeys(model.servos, value) for name, value in same.items()}
    wanted["goal_position"] = {place.servo: goals[place.joint] for place in model.places}
    wanted["goal_pwm"] = {**bus.sync_read(model.servos, "pwm_limit"), model.gripper.servo: settings.gripper.pwm}
    wrong = [
        f"{servo_title(model, servo)}: {name} is {value}, expected {expected[servo]}"
        for name, expected in wanted.items()
        for servo, value in bus.sync_read(model.servos, name).items()
        if value != expected[servo]
    ]
    if wrong:
        lines = "; ".join(wrong)
        raise DeviceError(
            f"What was written to the servos wasn't kept. {lines}. Does another program drive them? Check the cables "
            "and the power supply, then try again."
        )


def set_running_profiles(bus: DynamixelBus, model: ServoMap, settings: ArmSettings) -> None:
    """Let the servos follow as fast as the driver's own limits ask, and not faster."""
    for servo in model.servos:
        bus.write(servo, "profile_velocity", settings.profile_velocity)


def take_over(
    bus: DynamixelBus,
    model: ServoMap,
    limits: Sequence[tuple[int, int]],
    *,
    braked: Collection[int] = (),
    switch_on: bool = True,
) -> list[int]:
    """Make every joint hold where it is: goal first, torque afterwards; torque is never switched off.

    A joint that holds already within 0.1 rad of its goal keeps that goal, so that it doesn't sag; the gripper keeps
    squeezing what it holds.

    Args:
        bus: Of the servos.
        model: The arm.
        limits: (smallest, largest) goal of every joint, ticks, gripper last.
        braked: Joints whose watchdog had stopped them, away from their goal.
        switch_on: Whether to switch the torque on where it is off; without, such joints stay free.

    Returns:
        The goals, ticks, gripper last.

    Raises:
        SafetyError: When a joint lies far beyond its limits.
        DeviceError: When a servo doesn't take its goal or its torque.
    """
    present = bus.sync_read(model.servos, "present_position")
    torque = bus.sync_read(model.servos, "torque_enable")
    old = bus.sync_read(model.servos, "goal_position")
    goals: list[int] = []
    for place, (low, high) in zip(model.leaders, limits, strict=True):
        here, goal = present[place.servo], old[place.servo]
        holding = all(torque[p.servo] for p in model.group(place.joint)) and place.joint not in braked
        near = abs(goal - here) * RAD_PER_TICK <= _HELD_RAD or place is model.gripper
        wanted = goal if holding and near else here
        _require_inside(model, place, here, (low, high))
        goals.append(min(max(wanted, low), high))
    _write_goals(bus, model, goals)
    if switch_on:
        _switch_on(bus, model, [s for s, on in torque.items() if not on])
    if any(abs(g - present[p.servo]) > _STEP_TICKS for p, g in zip(model.leaders, goals, strict=True)):
        bus.transactions.wait(_SETTLE_S)
    return goals


def _require_inside(model: ServoMap, place: ServoPlace, here: int, limits: tuple[int, int]) -> None:
    """Refuse a joint that lies far beyond its limits, ticks; the gripper may.

    Raises:
        SafetyError: Naming it.
    """
    low, high = limits
    beyond = max(low - here, here - high) * RAD_PER_TICK
    if place is not model.gripper and beyond > _BEYOND_RAD:
        raise SafetyError(
            f"{servo_title(model, place.servo)} is {beyond:.2f} rad beyond its limits ({low} ... {high} ticks, it "
            f"is at {here}). Move the joint back by hand, with the arm supported, then try again."
        )


def _write_goals(bus: DynamixelBus, model: ServoMap, goals: Sequence[int]) -> None:
    """Write goals and make sure that shadows took them as well."""
    wanted = dict(zip((place.joint for place in model.leaders), goals, strict=True))
    for place in model.leaders:
        bus.write(place.servo, "goal_position", wanted[place.joint])
    held = bus.sync_read(model.servos, "goal_position")
    for place in model.places:
        if held[place.servo] != wanted[place.joint]:
            bus.write(place.servo, "goal_position", wanted[place.joint])


def _switch_on(bus: DynamixelBus, model: ServoMap, servos: Sequence[int]) -> None:
    """Torque on, the servos of a joint together, and check it."""
    joints = {model.place(servo).joint for servo in servos}
    leaders = [place.servo for place in model.leaders if place.joint in joints]
    if not leaders:
        return
    bus.sync_write("torque_enable", dict.fromkeys(leaders, 1))
    for servo, on in bus.sync_read(model.servos, "torque_enable").items():
        if not on:
            bus.write(servo, "torque_enable", 1)


def reboot_tripped(bus: DynamixelBus, model: ServoMap) -> list[int]:
    """Restart servos with a hardware error, together with the other servos of their joint; returns which.

    The joint is free from here until it is taken over again: only on the word of a person who supports the arm.
    """
    errors = bus.sync_read(model.servos, "hardware_error_status")
    joints = {model.place(servo).joint for servo, error in errors.items() if error}
    servos = [place.servo for place in model.places if place.joint in joints]
    for servo in servos:
        bus.reboot(servo)
    return servos
