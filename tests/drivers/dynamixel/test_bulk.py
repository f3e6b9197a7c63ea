"""Bulk read and bulk write: each servo its own register, and never an older answer."""

import pytest
from helpers.numbered_servos import NumberedServos
from helpers.servo_dialogue import SCRIPTS, bus_on, eventually
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.packet import Instruction
from drivers.errors import PacketError, ServoRefusedError, ServoTimeoutError
from sim.virtual.bus import VirtualBus, arm_servos
from sim.virtual.loopback import LoopbackPort, VirtualTime

NAMES = {1: "present_position", 2: "present_current", 3: "goal_position", 4: "present_input_voltage"}
JOINT = (Instruction.BULK_READ, Instruction.FAST_BULK_READ)


def bulk_requests(port):
    return [packet.instruction for packet in port.requests if packet.instruction in JOINT]


@settings(max_examples=300, deadline=None)
@given(SCRIPTS, st.integers(1, 8), st.booleans(), st.integers(1, 4))
def test_a_bulk_reading_is_never_older_than_its_request(script, questions, knows_fast, servos):
    port = NumberedServos(script)
    port.knows_fast = knows_fast
    bus = bus_on(port)
    names = dict(list(NAMES.items())[:servos])
    for turn in range(questions):
        before = port.number
        try:
            values = bus.bulk_read(names) if turn % 3 < 2 else {1: bus.read(1, "present_position")}
        except (ServoTimeoutError, ServoRefusedError):
            continue
        assert all(before < value <= port.number for value in values.values())
    port.script.clear()
    assert set(eventually(lambda: bus.bulk_read(names))) == set(names)


def test_one_request_and_one_joint_reply_read_all():
    port = NumberedServos()
    bus = bus_on(port)
    assert bus.bulk_read(NAMES) == dict.fromkeys(NAMES, 1)
    assert bulk_requests(port) == [Instruction.FAST_BULK_READ]
    assert bus.statistics.requests == 1


def test_old_firmware_answers_one_by_one():
    port = NumberedServos()
    bus = bus_on(port)
    bus.firmware[3] = 44
    assert bus.bulk_read(NAMES) == dict.fromkeys(NAMES, 1)
    assert bulk_requests(port) == [Instruction.BULK_READ]


def test_after_a_lost_joint_reply_the_servos_are_asked_one_by_one_until_it_cannot_arrive_any_more():
    port = NumberedServos(["late"])
    bus = bus_on(port)
    values = bus.bulk_read(NAMES)
    assert all(value > 1 for value in values.values())
    assert bulk_requests(port) == [Instruction.FAST_BULK_READ, Instruction.BULK_READ]
    bus.bulk_read(NAMES)
    assert bulk_requests(port)[2:] == [Instruction.BULK_READ]
    port.now += 2_100_000_000
    bus.bulk_read(NAMES)
    assert bulk_requests(port)[3:] == [Instruction.FAST_BULK_READ]


def test_a_bulk_read_names_the_silent():
    bus = bus_on(NumberedServos(servos={1, 3, 4}))
    with pytest.raises(ServoTimeoutError, match="bulk read") as caught:
        bus.bulk_read(NAMES)
    assert caught.value.ids == (2,)


def virtual_line():
    """The driver's bus and the nine virtual servos on it."""
    time = VirtualTime()
    virtual = VirtualBus(arm_servos(), now_ns=time.now_ns())
    bus = DynamixelBus(lambda: LoopbackPort(virtual, time), clock=time.now_ns)
    bus.identify(virtual.servos)
    return bus, virtual


def test_virtual_servos_read_and_take_what_was_meant_for_each():
    bus, virtual = virtual_line()
    bus.bulk_write({2: ("goal_position", 2100), 7: ("profile_velocity", 33), 9: ("led", 1), 4: ("goal_pwm", -60)})
    wanted = {
        2: "goal_position",
        7: "profile_velocity",
        9: "led",
        4: "goal_pwm",
        8: "model_number",
        1: "velocity_limit",
    }
    assert bus.bulk_read(wanted) == {2: 2100, 7: 33, 9: 1, 4: -60, 8: 1060, 1: 131}
    assert virtual.servos[3].memory.get("goal_position") == 2100  # a shadow follows joint writes, too
    assert virtual.servos[5].memory.get("goal_position") != 2100


@pytest.mark.parametrize("entry", [("velocity_limit", 100), ("present_position", 2048), ("goal_position", 2**31)])
def test_what_nobody_would_confirm_is_not_written(entry):
    bus, virtual = virtual_line()
    heard = virtual.heard
    with pytest.raises(PacketError):
        bus.bulk_write({1: ("led", 1), 2: entry})
    assert virtual.heard == heard
