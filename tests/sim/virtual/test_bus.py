"""The line: the state cycle on all nine servos, faults, and the vendor's library as a second opinion."""

import time

import numpy as np
import pytest
from dynamixel_sdk import GroupSyncRead, PacketHandler, PortHandler
from helpers.virtual_setup import IDS, Setup

from drivers.dynamixel import messages
from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.cycle import StateCycle
from drivers.dynamixel.messages import HardwareError
from drivers.dynamixel.registers import rad_to_ticks
from drivers.dynamixel.tables import XL330_M288
from drivers.errors import ServoRestartedError, ServoTimeoutError
from sim.virtual.bus import VirtualBus, arm_servos
from sim.virtual.bus_faults import BusFaults
from sim.virtual.pty import PtyProcess, PtyServer
from sim.virtual.servo import Habits, VirtualServo
from trajectories.errors import ConfigError


def cycle_of(setup, servos=IDS):
    cycle = StateCycle(setup.bus, servos)
    cycle.configure()
    return cycle


# -- the cycle ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("firmware", [44, 46])
def test_the_cycle_reads_what_the_registers_hold(firmware):
    setup = Setup(arm_servos(firmware=firmware))
    cycle = cycle_of(setup)
    assert cycle.fast == (firmware == 46)
    rng = np.random.default_rng(0)
    setup.motors.positions = list(rng.uniform(-1.5, 1.5, 7))
    setup.hold(*IDS)
    setup.motors.outside = {joint: float(rng.uniform(-0.6, 0.6)) for joint in range(7)}
    setup.wait(0.2)
    before = setup.bus.statistics.requests
    states = cycle.read(health=True)
    assert setup.bus.statistics.requests == before + 1
    for servo, state in states.items():
        read = lambda name, servo=servo: setup.bus.read(servo, name)  # noqa: E731
        assert rad_to_ticks(state.position) == read("present_position")
        if servo < 8:
            assert state.current == pytest.approx(read("present_current") * 0.00269)
            assert state.load is None
        else:
            assert state.load == pytest.approx(read("present_load") * 0.001)
            assert state.current is None
        assert (state.error, state.alert) == (0, False)
        assert state.health.torque
        assert state.health.voltage == pytest.approx(12.0)
        assert state.health.temperature == read("present_temperature")
        assert not state.health.watchdog_tripped
    assert states[3].position == states[2].position


def test_what_is_set_up_already_is_not_written_again(monkeypatch):
    setup = Setup()
    cycle_of(setup)
    setup.bus.reboot(6)
    written = []
    write = setup.bus.write_bytes
    monkeypatch.setattr(setup.bus, "write_bytes", lambda servo, *rest: (written.append(servo), write(servo, *rest)))
    cycle_of(setup)
    assert written == [6]


@pytest.mark.parametrize(("reverses", "sign"), [(True, -1), (None, 1)])
def test_velocity_and_its_sign(reverses, sign):
    """Servo 7 is in reverse mode, which turns the sign of the velocity on some servos only."""
    setup = Setup(arm_servos(habits=Habits(reverses_effort=reverses)))
    cycle = cycle_of(setup)
    setup.hold(*IDS)
    setup.bus.write(7, "profile_velocity", 40)
    setup.bus.sync_write("goal_position", {7: 1100})
    setup.wait(0.3)
    assert cycle.read()[7].velocity == pytest.approx(sign * 40 * 0.02398, rel=0.03)


@pytest.mark.parametrize("firmware", [44, 46])
def test_alert_and_hardware_error_of_a_shadow_are_seen(firmware):
    setup = Setup(arm_servos(firmware=firmware))
    cycle = cycle_of(setup)
    setup.hold(*IDS)
    setup.servos[3].protection.forced = HardwareError.SHOCK
    setup.wait(0.02)
    states = cycle.read(health=True)
    assert {servo for servo, state in states.items() if state.alert} == {3}
    assert {servo: state.error for servo, state in states.items() if state.error} == {3: HardwareError.SHOCK}
    assert not states[3].health.torque
    assert states[2].health.torque
    assert setup.bus.alerts == {3}
    setup.servos[3].protection.forced = HardwareError(0)
    setup.bus.reboot(3)
    cycle.configure([3])
    assert cycle.read()[3].error == 0
    assert setup.bus.alerts == set()


def test_a_servo_that_restarted_is_noticed_instead_of_believed():
    setup = Setup()
    cycle = cycle_of(setup)
    cycle.read()
    setup.bus.reboot(4)
    with pytest.raises(ServoRestartedError, match=r"\[4\].*no torque") as caught:
        cycle.read()
    assert caught.value.ids == (4,)
    assert abs(cycle.newest[4].position) < 0.01  # the old one, not -180 degrees
    cycle.configure([4])
    assert len(cycle.read()) == 9


def test_a_tripped_watchdog_shows_in_the_cycle():
    setup = Setup()
    cycle = cycle_of(setup)
    setup.hold(6)
    setup.bus.write(6, "bus_watchdog", 2)
    setup.wait(0.2)
    tripped = [servo for servo, state in cycle.read(health=True).items() if state.health.watchdog_tripped]
    assert tripped == [6]


def test_a_dead_servo_is_named_within_the_cycle_and_returns():
    setup = Setup()
    cycle = cycle_of(setup)
    setup.virtual.faults.dead.add(5)
    for _ in range(4):
        with pytest.raises(ServoTimeoutError) as caught:
            cycle.read()
        assert caught.value.ids == (5,)
    setup.virtual.faults.dead.clear()
    assert len(cycle.read()) == 9


def test_two_layouts_do_not_share_a_cycle():
    setup = Setup([*arm_servos()[:2], VirtualServo(11, XL330_M288, 2)])
    assert len(cycle_of(setup, [1, 2]).read(health=True)) == 2
    assert len(cycle_of(setup, [11]).read(health=True)) == 1
    with pytest.raises(Exception, match=r"208.*224"):
        StateCycle(setup.bus, [1, 11])


def test_faults_are_survived_and_counted():
    faults = BusFaults(damaged=0.03, dropped=0.03, truncated=0.03, doubled=0.03, late=0.02, garbage=0.03, deaf=0.02)
    setup = Setup()
    cycle = cycle_of(setup)
    setup.hold(1)
    setup.virtual.faults = faults
    setup.bus.sync_write("profile_velocity", {1: 10})
    rng = np.random.default_rng(1)
    missed = 0
    for _ in range(400):
        true = float(rng.uniform(-1, 1))
        setup.motors.positions[4] = true  # free joint, moved by hand
        setup.wait(0.002)
        try:
            state = cycle.read(health=bool(rng.random() < 0.2))[7]
        except ServoTimeoutError:
            missed += 1
            continue
        assert state.position == pytest.approx(true, abs=0.001)
        assert abs(cycle.newest[2].position) < 0.001
    assert missed < 20
    statistics = setup.bus.statistics.as_dict()
    assert all(statistics[name] > 0 for name in ("retries", "timeouts", "crc_errors", "stray_bytes", "foreign_replies"))
    assert statistics["cycles"] == 400


def test_replies_take_their_time_on_the_wire():
    setup = Setup(wire_baud=1_000_000)
    cycle = cycle_of(setup)
    begin = setup.time.now_ns()
    cycle.read()
    # request 14 + 9, joint reply 8 + 9 * (12 + 4) bytes at 10 us
    assert setup.time.now_ns() - begin == (23 + 8 + 9 * 16) * 10_000
    cycle.fast = False
    begin = setup.time.now_ns()
    cycle.read()
    assert setup.time.now_ns() - begin == (23 + 9 * (11 + 12)) * 10_000


def test_group_instructions_of_every_kind():
    setup = Setup()
    bus, virtual = setup.bus, setup.virtual
    assert bus.sync_read([1, 8], "present_position") == {1: 2048, 8: 2048}
    virtual.receive(messages.bulk_write({1: (65, b"\x01"), 8: (112, (33).to_bytes(4, "little"))}), setup.time.now_ns())
    assert (bus.read(1, "led"), bus.read(8, "profile_velocity")) == (1, 33)
    virtual.receive(messages.bulk_read({1: (65, 1), 8: (112, 4)}), setup.time.now_ns())
    assert virtual.send(setup.time.now_ns()) == bytes.fromhex("fffffd00010500550001") + _crc(
        "fffffd00010500550001"
    ) + bytes.fromhex("fffffd000808005500" + "21000000") + _crc("fffffd000808005500" + "21000000")
    virtual.receive(messages.ping(254), setup.time.now_ns())
    assert virtual.send(setup.time.now_ns()).count(b"\xff\xff\xfd\x00") == 9
    virtual.receive(messages.read(254, 132, 4), setup.time.now_ns())
    virtual.receive(messages.write(254, 65, b"\x01"), setup.time.now_ns())
    assert virtual.send(setup.time.now_ns()) == b""
    assert bus.read(9, "led") == 1


def _crc(text):
    from drivers.dynamixel.packet import crc16

    return crc16(bytes.fromhex(text)).to_bytes(2, "little")


def test_any_bytes_are_survived():
    setup = Setup()
    rng = np.random.default_rng(5)
    for _ in range(300):
        body = rng.bytes(int(rng.integers(0, 20)))
        packet = messages.encode(int(rng.choice([1, 3, 9, 254])), int(rng.integers(0, 256)) & 0xFE or 2, body)
        setup.virtual.receive(rng.bytes(int(rng.integers(0, 30))) + packet + bytes(70), setup.time.now_ns())
        setup.virtual.send(setup.time.now_ns())
    setup.wait(0.5)
    setup.virtual.receive(bytes(1100), setup.time.now_ns())
    assert setup.bus.clock() > 0


def test_a_bus_in_a_process_of_its_own():
    with PtyProcess("--firmware", "44") as process:
        bus = DynamixelBus.on(process.path, latency_s=0.5)
        assert bus.identify(IDS)[9] == (1060, 44)
        cycle = StateCycle(bus, IDS)
        cycle.configure()
        assert len(cycle.read(health=True)) == 9
        bus.close()
    assert process.process.returncode == 0
    with pytest.raises(ConfigError, match="no-such-option"):
        PtyProcess("--no-such-option")


# -- the vendor's library on the pseudo-terminal --------------------------------------------------------
@pytest.fixture
def sdk(monkeypatch):
    # The library waits 34 ms for an answer, which a machine that does other work doesn't always give a thread.
    monkeypatch.setattr("dynamixel_sdk.port_handler.LATENCY_TIMER", 500)
    virtual = VirtualBus(arm_servos(), now_ns=time.monotonic_ns())
    with PtyServer(virtual) as server:
        port = PortHandler(server.path)
        assert port.openPort()
        assert port.setBaudRate(1_000_000)
        yield port, PacketHandler(2.0)
        port.closePort()


def test_dynamixel_sdk_sees_the_same_servos(sdk):
    port, packets = sdk
    assert packets.ping(port, 8) == (1060, 0, 0)
    assert packets.write4ByteTxRx(port, 1, 116, 2222) == (0, 0)
    assert packets.read4ByteTxRx(port, 1, 116) == (2222, 0, 0)
    assert packets.write4ByteTxRx(port, 2, 116, 100) == (0, 6)
    assert packets.write1ByteTxRx(port, 2, 64, 1) == (0, 0)
    assert packets.read1ByteTxRx(port, 3, 64) == (1, 0, 0)
    assert packets.write1ByteTxRx(port, 2, 11, 4) == (0, 7)
    assert packets.reboot(port, 9) == (0, 0)
    for read in ("txRxPacket", "fastSyncRead"):
        group = GroupSyncRead(port, packets, 116, 4)
        for servo in range(1, 9):
            group.addParam(servo)
        assert getattr(group, read)() == 0
        assert group.isAvailable(1, 116, 4)
        assert group.getData(1, 116, 4) == 2222
        assert group.getData(5, 116, 4) == 2048
