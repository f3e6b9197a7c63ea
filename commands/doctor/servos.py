"""The servos on an open port. Only pings and reads: nothing moves, torque stays as it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from tqdm import tqdm

from commands.doctor.report import Finding, fail, ok, warn
from drivers.dynamixel.bus import DynamixelBus, Identity
from drivers.dynamixel.messages import HardwareError
from drivers.dynamixel.port import Port, SerialPort
from drivers.dynamixel.registers import RAD_PER_TICK, VOLT_UNIT
from drivers.dynamixel.scan import RATES, Answers, scan
from drivers.dynamixel.servo_map import BUS_BAUD, ServoMap
from drivers.dynamixel.tables import TABLES
from drivers.errors import ServoTimeoutError
from drivers.widowx import eeprom
from drivers.widowx.guard import servo_title
from drivers.widowx.settings import ArmSettings
from drivers.widowx.startup import verify_servos
from trajectories.errors import DeviceError

_WARM_C = 10
"""Degrees below the refusal of a start from which on a servo is called warm."""
_READS = 200
_SLOW_MS = 5.0
_LATE_MS = 10.0
"""The driver's control loop gives an answer up that takes longer."""
_PATIENCE_S = 0.03
"""The doctor waits longer than the driver: a late answer is a finding, not the end."""
_CAUSES = {
    HardwareError.OVERLOAD: "something blocked or pulled the joint",
    HardwareError.OVERHEATING: "it got too hot: let it cool",
    HardwareError.SHOCK: "look for a short circuit in power supply and cables",
    HardwareError.VOLTAGE: "check the power supply (12 V) and its plugs",
    HardwareError.ENCODER: "it doesn't know its position any more: replace it",
}
_WIZARD = "with DYNAMIXEL Wizard"
_CABLES = "Check cables and plugs, keep them away from motors' supplies, use a short USB cable."


def check_servos(
    port: str,
    model: ServoMap,
    settings: ArmSettings,
    rates: Sequence[int] = RATES,
    open_at: Callable[[str, int], Port] = SerialPort,
) -> Iterator[Finding]:
    """Who answers, what they are, how they are, and whether they are set up as the driver wants them.

    Args:
        port: Path.
        model: The arm that should be there.
        settings: Of its driver.
        rates: Baud rates at which silent servos are looked for.
        open_at: Opens the port at a baud rate.

    Raises:
        DeviceError: When the port can't be opened, or a servo falls silent meanwhile.
    """
    bus = DynamixelBus(lambda: open_at(port, BUS_BAUD), baud=BUS_BAUD, latency_s=_PATIENCE_S)
    try:
        there = _ping_all(bus, model)
        silent = [servo for servo in model.servos if servo not in there]
        if not silent:
            yield ok("servos", f"all {len(there)} of the {model.name} answer at {BUS_BAUD:,} bit/s")
        wrong = _wrong_models(model, there)
        yield from _models(bus, model, there, wrong)
        known = [servo for servo, identity in there.items() if identity.model in TABLES]
        if known:
            bus.identify(known)
            yield from _state(bus, model, settings, known)
        if not wrong and not silent:
            yield from _setup(bus, model, settings.joint_offsets)
            yield from _line(bus, model)
    finally:
        bus.close()
    if silent:
        answers = list(
            tqdm(
                scan(lambda baud: open_at(port, baud), rates, model.servos),
                "silent servos at all baud rates",
                len(rates),
                leave=False,
            )
        )
        yield _missing(model, there, silent, answers)


def _ping_all(bus: DynamixelBus, model: ServoMap) -> dict[int, Identity]:
    found = {}
    for servo in model.servos:
        try:
            found[servo] = bus.ping(servo)
        except ServoTimeoutError:
            continue
    return found


def _missing(
    model: ServoMap, there: Mapping[int, Identity], silent: Sequence[int], answers: Sequence[Answers]
) -> Finding:
    """What a search at all baud rates says about silent servos."""
    names = ", ".join(f"{servo} ({model.place(servo).name})" for servo in silent)
    found = f"{len(there)} of {len(model.servos)} answer at {BUS_BAUD:,} bit/s, silent: {names}"
    elsewhere = [
        f"servo {servo} at {answer.baud:,} bit/s"
        for answer in answers
        if answer.baud != BUS_BAUD
        for servo in answer.servos
        if servo not in there
    ]
    strangers = [
        str(servo)
        for answer in answers
        if answer.baud == BUS_BAUD
        for servo in answer.servos
        if servo not in model.servos
    ]
    damaged = sum(answer.damaged for answer in answers)
    if elsewhere:
        return fail(
            "servos", f"{found}; found {', '.join(elsewhere)}", f"Set their baud rate to {BUS_BAUD:,} {_WIZARD}."
        )
    if strangers:
        return fail(
            "servos", f"{found}; other ids: {', '.join(strangers)}", f"Give them the ids of the arm's table {_WIZARD}."
        )
    if damaged:
        return fail(
            "servos",
            f"{found}; {damaged} damaged replies",
            f"Two servos may have the same id: connect them one by one {_WIZARD}. Otherwise check the cables.",
        )
    advice = "Is the arm's power on (the servos' LEDs flash once)? Check the plugs of U2D2 and power hub."
    if there:
        advice = f"Check the cable of servo {silent[0]} and the one before it, then set id and baud rate {_WIZARD}."
    return fail("servos", found, advice)


def _wrong_models(model: ServoMap, there: Mapping[int, Identity]) -> list[str]:
    return [
        f"{servo_title(model, servo)} is a {_model_name(identity.model)}, expected {model.place(servo).table.model}"
        for servo, identity in there.items()
        if identity.model != model.place(servo).table.number
    ]


def _models(
    bus: DynamixelBus, model: ServoMap, there: Mapping[int, Identity], wrong: Sequence[str]
) -> Iterator[Finding]:
    """Models and firmware."""
    groups: dict[Identity, list[int]] = {}
    for servo, identity in there.items():
        groups.setdefault(identity, []).append(servo)
    found = ", ".join(
        f"{len(servos)} x {_model_name(identity.model)} firmware {identity.firmware}"
        for identity, servos in groups.items()
    )
    slow = [servo for servo, identity in there.items() if identity.firmware < model.place(servo).table.fast_firmware]
    if wrong:
        yield fail("models", "; ".join(wrong), "Is robot.model the arm that you have? Otherwise check the servos' ids.")
        return
    if len(there) == len(model.servos):
        try:
            verify_servos(bus, model)
        except DeviceError as error:
            yield fail("models", str(error), f"Update the firmware of all servos {_WIZARD}.")
            return
    if slow:
        yield warn(
            "models",
            f"{found}: without fast sync read, which halves the time of a control cycle",
            f"Update the firmware of servos {slow} {_WIZARD}.",
        )
    elif there:
        yield ok("models", found)


def _model_name(number: int) -> str:
    return TABLES[number].model if number in TABLES else f"model {number}"


# -- how they are ---------------------------------------------------------------------------------------
def _state(bus: DynamixelBus, model: ServoMap, settings: ArmSettings, servos: Sequence[int]) -> Iterator[Finding]:
    """Hardware errors, temperature, voltage, torque."""
    yield from _errors(model, bus.sync_read(servos, "hardware_error_status"))
    yield from _temperatures(bus, model, settings, servos)
    volts = {servo: value * VOLT_UNIT for servo, value in bus.sync_read(servos, "present_input_voltage").items()}
    low, high = settings.guard.lowest_v, settings.guard.highest_v
    found = f"{_span(volts.values(), 1)} V, expected {low} ... {high}"
    if all(low <= value <= high for value in volts.values()):
        yield ok("voltage", found)
    else:
        worst = max(volts, key=lambda servo: max(low - volts[servo], volts[servo] - high))
        yield fail("voltage", found, f"Check the 12 V supply and the cables up to {servo_title(model, worst).lower()}.")
    torque = bus.sync_read(servos, "torque_enable")
    holding = [servo for servo, on in torque.items() if on]
    yield ok("torque", f"on in {holding}: the arm holds" if holding else "off everywhere: the arm rests")


def _errors(model: ServoMap, values: Mapping[int, int]) -> Iterator[Finding]:
    bad = {servo: HardwareError(value) for servo, value in values.items() if value}
    if not bad:
        yield ok("errors", "no servo reports a hardware error")
    for servo, error in bad.items():
        bits = [bit for bit in HardwareError if error & bit]
        names = " and ".join(bit.name.lower() for bit in bits if bit.name) or f"error {int(error)}"
        cause = next((_CAUSES[bit] for bit in bits), "see the servo's manual")
        yield fail(
            "errors",
            f"{servo_title(model, servo)} reports {names}",
            f"Support the arm, switch its power off and on, which clears the error. The cause: {cause}.",
        )


def _temperatures(
    bus: DynamixelBus, model: ServoMap, settings: ArmSettings, servos: Sequence[int]
) -> Iterator[Finding]:
    degrees = bus.sync_read(servos, "present_temperature")
    room = {
        servo: bus.tables[servo]["temperature_limit"].initial - settings.guard.temperature_margin_c - value
        for servo, value in degrees.items()
    }
    hottest = min(room, key=room.__getitem__)
    found = f"{_span(degrees.values())} C"
    who = f"{servo_title(model, hottest)} has {degrees[hottest]} C"
    if room[hottest] <= 0:
        yield fail("temperature", f"{found}; {who}", "Let it cool in the sleep pose: the driver would refuse to start.")
    elif room[hottest] <= _WARM_C:
        yield warn(
            "temperature", f"{found}; {who}", f"It works up to {degrees[hottest] + room[hottest]:.0f} C: soon it rests."
        )
    else:
        yield ok("temperature", found)


def _span(values: Collection[float], digits: int = 0) -> str:
    """Smallest and largest."""
    low, high = (f"{value:.{digits}f}" for value in (min(values), max(values)))
    return low if low == high else f"{low} ... {high}"


# -- how they are set up --------------------------------------------------------------------------------
def _setup(bus: DynamixelBus, model: ServoMap, offsets: Sequence[float]) -> Iterator[Finding]:
    """What the servos keep without power, and whether the two servos of a joint agree."""
    found = eeprom.differences(bus, model, offsets)
    if found:
        yield fail(
            "settings",
            f"{len(found)} differ from the table: " + "; ".join(map(str, found)),
            eeprom.advice(found),
        )
    else:
        yield ok("settings", "EEPROM as the driver wants it: modes, limits, shadows, return delay, shutdown")
    away = eeprom.pair_differences(bus, model)
    if away:
        lines = ", ".join(f"{servo_title(model, s)} by {ticks * RAD_PER_TICK:+.3f} rad" for s, ticks in away.items())
        yield fail(
            "pairs",
            f"servos of one joint disagree: {lines}",
            "Torque off, arm supported: `regrasp calibrate robot=widowx calibrate.what=shadows calibrate.person=YOU`; "
            "or check the horns.",
        )
    elif any(place.is_shadow for place in model.places):
        yield ok("pairs", "both servos of every double joint read the same angle")


def _line(bus: DynamixelBus, model: ServoMap) -> Iterator[Finding]:
    """How fast and how clean the line is."""
    before = bus.statistics.retries, bus.statistics.crc_errors
    durations = []
    try:
        for _ in range(_READS):
            start = time.monotonic()
            bus.sync_read(model.servos, "present_position")
            durations.append(1e3 * (time.monotonic() - start))
    except ServoTimeoutError as error:
        yield fail("line", f"after {len(durations)} of {_READS} readings: {error}", _CABLES)
        return
    durations.sort()
    retries, damaged = bus.statistics.retries - before[0], bus.statistics.crc_errors - before[1]
    half, worst = durations[_READS // 2], durations[_READS * 99 // 100]
    found = f"all positions in {half:.1f} ms (p99 {worst:.1f} ms), {retries} of {_READS} repeated, {damaged} damaged"
    if retries or damaged:
        yield warn("line", found, _CABLES)
    elif half > _SLOW_MS or worst > _LATE_MS:
        yield warn("line", found, "Is the adapter's latency timer 1 ms, is a USB hub between, is the computer busy?")
    else:
        yield ok("line", found)
