"""What the doctor says about the servos, and that it only looks."""

import time

import pytest

from commands.doctor.report import examine
from commands.doctor.servos import check_servos
from drivers.dynamixel.packet import Instruction, Parser
from drivers.dynamixel.registers import BAUD_RATES
from drivers.dynamixel.servo_map import WX250, WX250S
from drivers.dynamixel.tables import XM430_W350
from drivers.widowx.settings import ArmSettings
from sim.virtual.bus import VirtualBus, arm_servos
from sim.virtual.bus_faults import BusFaults
from sim.virtual.loopback import LoopbackPort, VirtualTime
from sim.virtual.servo import VirtualServo


class Line:
    """Virtual servos that answer at the baud rate of their register 8 only, and what they were told."""

    def __init__(self, servos=None, faults=None):
        self.time = VirtualTime(time.monotonic_ns())
        self.servos = servos or arm_servos()
        self.faults = faults or BusFaults()
        self.told = set()
        self.buses = {}

    def power_on(self, supply_v=12.0):
        """Their EEPROM is as it will be; RAM may be changed from here on."""
        for baud in BAUD_RATES.values():
            there = [one for one in self.servos if BAUD_RATES[one.memory.get("baud_rate")] == baud]
            self.buses[baud] = VirtualBus(there, now_ns=self.time.now_ns(), faults=self.faults)
            self.buses[baud].supply_v = supply_v
        self.time.sleep_until_ns(self.time.now_ns() + 100_000_000)
        for bus in self.buses.values():
            bus.advance(self.time.now_ns())
        return self

    def open_at(self, path, baud):
        port, parser, told = LoopbackPort(self.buses[baud], self.time), Parser(), self.told
        write = port.write

        def listen(data):
            told.update(packet.instruction for packet in parser.feed(data))
            write(data)

        port.write = listen
        return port

    def memory(self, servo):
        return self.servos[servo - 1].memory

    def look(self, model=WX250S, rates=(57_600, 1_000_000)):
        if not self.buses:
            self.power_on()
        found = examine("servos", lambda: check_servos("a port", model, ArmSettings(), rates, self.open_at))
        return {finding.name: finding for finding in found}


def writable(servo):
    memory = servo.memory
    return {name: memory.get(name) for name, register in memory.table.registers.items() if register.writable}


def test_a_healthy_arm_is_all_right_and_nothing_is_written():
    line = Line().power_on()
    for servo in (2, 3):
        line.memory(servo).set("torque_enable", 1)
    before = [writable(one) for one in line.servos]
    found = line.look()
    assert {name for name, finding in found.items() if finding.state != "ok"} <= {"line"}  # its speed is the computer's
    assert {"servos", "models", "errors", "temperature", "voltage", "torque", "settings", "pairs", "line"} == set(found)
    assert line.told == {Instruction.PING, Instruction.READ, Instruction.SYNC_READ}
    assert "7 x XM430-W350 firmware 46, 2 x XL430-W250 firmware 46" in found["models"].found
    assert found["torque"].found == "on in [2, 3]: the arm holds"
    assert [writable(one) for one in line.servos] == before


def test_a_dead_servo_is_named_and_the_others_are_still_looked_at():
    line = Line(faults=BusFaults(dead={3}))
    line.memory(4).set("return_delay_time", 250)
    found = line.look()
    assert found["servos"].state == "FAIL"
    assert "8 of 9" in found["servos"].found
    assert "silent: 3 (shoulder_shadow)" in found["servos"].found
    assert "cable of servo 3" in found["servos"].advice
    assert found["temperature"].state == "ok"
    assert "settings" not in found


def test_without_power_there_is_one_line():
    found = Line(faults=BusFaults(dead=set(range(1, 10)))).look()
    assert list(found) == ["servos"]
    assert "power" in found["servos"].advice


def test_a_servo_at_another_baud_rate_is_found_there():
    line = Line()
    line.memory(5).set("baud_rate", 1)
    found = line.look()["servos"]
    assert "servo 5 at 57,600 bit/s" in found.found
    assert "1,000,000" in found.advice


def test_another_id_is_found():
    line = Line()
    line.memory(9).set("id", 42)
    found = line.look()["servos"]
    assert "silent: 9 (gripper); other ids: 42" in found.found


def test_damaged_replies_to_the_search_hint_at_two_servos_with_one_id():
    line = Line(faults=BusFaults(damaged=1.0, seed=3))
    found = line.look()["servos"]
    assert "damaged replies" in found.found
    assert "same id" in found.advice


@pytest.mark.parametrize(("degrees", "state"), [(61, "ok"), (63, "warn"), (71, "warn"), (72, "FAIL"), (79, "FAIL")])
def test_heat(degrees, state):
    line = Line().power_on()
    line.servos[1].protection.temperature_c = degrees
    line.memory(2).set("present_temperature", degrees)
    found = line.look()["temperature"]
    assert found.state == state
    assert state == "ok" or f"Servo 2 (shoulder) has {degrees} C" in found.found


def test_a_weak_supply():
    found = Line().power_on(supply_v=10.1).look()["voltage"]
    assert found.state == "FAIL"
    assert found.found.startswith("10.1 V")


def test_hardware_errors_name_servo_and_bit():
    line = Line().power_on()
    line.memory(4).set("hardware_error_status", 32)
    line.memory(9).set("hardware_error_status", 4)
    found = [f for f in check_servos("", WX250S, ArmSettings(), (), line.open_at) if f.name == "errors"]
    assert [f.state for f in found] == ["FAIL", "FAIL"]
    assert found[0].found == "Servo 4 (elbow) reports overload"
    assert "blocked" in found[0].advice
    assert found[1].found == "Servo 9 (gripper) reports overheating"


def test_settings_that_the_driver_would_refuse():
    line = Line()
    line.memory(6).set("return_delay_time", 250)
    line.memory(7).set("drive_mode", 0)
    found = line.look()["settings"]
    assert found.state == "FAIL"
    assert found.found.startswith("2 differ")
    assert "servo 6 (forearm_roll): return_delay_time is 250, expected 0" in found.found
    assert "servo 7 (wrist_angle): drive_mode is 0, expected 1" in found.found


def test_a_pair_that_disagrees():
    line = Line()
    line.memory(3).set("homing_offset", 100)
    found = line.look()["pairs"]
    assert found.state == "FAIL"
    assert "Servo 3 (shoulder_shadow, joint shoulder) by +0.153 rad" in found.found  # 100 of 4096 ticks a turn


def test_wrong_and_unknown_models():
    line = Line()
    line.servos[7] = VirtualServo(8, XM430_W350, 5)
    line.memory(8).set("baud_rate", 3)
    line.memory(1).set("model_number", 9999)
    found = line.look()
    assert found["models"].state == "FAIL"
    assert "Servo 8 (wrist_rotate) is a XM430-W350, expected XL430-W250" in found["models"].found
    assert "Servo 1 (waist) is a model 9999" in found["models"].found
    assert "settings" not in found


def test_another_arm_than_configured():
    found = Line().look(model=WX250)
    assert "Servo 7 (wrist_rotate) is a XM430-W350, expected XL430-W250" in found["models"].found


@pytest.mark.parametrize(("firmware", "state", "words"), [(44, "warn", "fast sync read"), (37, "FAIL", "bus watchdog")])
def test_old_firmware(firmware, state, words):
    found = Line(arm_servos(firmware=firmware)).look()["models"]
    assert found.state == state
    assert words in found.found


def test_noise_on_the_line():
    found = Line(faults=BusFaults(damaged=0.02, seed=1)).look()["line"]
    assert found.state == "warn"
    assert "0 of 200 repeated" not in found.found
    assert "cables" in found.advice


def test_a_servo_that_falls_silent_while_the_line_is_measured():
    line = Line().power_on()
    found = {}
    for finding in check_servos("", WX250S, ArmSettings(), (), line.open_at):
        found[finding.name] = finding
        if finding.name == "pairs":
            line.faults.dead = {6}
    assert found["line"].state == "FAIL"
    assert "Servo 6 didn't answer" in found["line"].found
