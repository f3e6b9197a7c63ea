"""Who is on the line, at whatever baud rate."""

import pytest
from helpers.numbered_servos import NumberedServos
from helpers.sdk_oracle import SDK, OraclePort
from helpers.servo_dialogue import bus_on

from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.registers import BAUD_RATES
from drivers.dynamixel.scan import RATES, scan
from drivers.errors import PortError, PortLostError
from sim.virtual.bus import VirtualBus, arm_servos
from sim.virtual.loopback import LoopbackPort, VirtualTime


class Listening(LoopbackPort):
    """Keeps what was heard."""

    heard = b""

    def read(self, deadline_ns):
        data = super().read(deadline_ns)
        self.heard += data
        return data


def test_every_servo_of_the_arm_answers_a_roll_call_as_the_sdk_reads_it():
    time = VirtualTime()
    port = Listening(VirtualBus(arm_servos(), now_ns=time.now_ns()), time)
    found = DynamixelBus(lambda: port, clock=time.now_ns).broadcast_ping()
    assert {servo: identity.model for servo, identity in found.items()} == {
        **dict.fromkeys(range(1, 8), 1020), 8: 1060, 9: 1060,
    }  # fmt: skip
    theirs, result = SDK.broadcastPing(OraclePort(port.heard))
    assert result == 0
    assert theirs == {servo: list(identity) for servo, identity in found.items()}


def test_a_roll_call_waits_for_the_last_servo():
    port = NumberedServos(["late"] * 9, late_ns=80_000_000)
    assert sorted(bus_on(port).broadcast_ping()) == list(range(1, 10))
    silent = NumberedServos(servos=())
    bus = bus_on(silent, latency_s=0.004)
    begin = silent.now
    assert bus.broadcast_ping() == {}
    wire_ns = (10 + 253 * 14) * 10 * 1000
    assert silent.now - begin == pytest.approx(wire_ns + 772e6 + 4e6, abs=5_000)


def line(rates):
    """Opens a line whose servos answer at the baud rate of their register 8 only."""
    time = VirtualTime()
    servos = arm_servos()
    for servo, value in rates.items():
        servos[servo - 1].memory.set("baud_rate", value)
    opened = []

    def open_at(baud):
        opened.append(baud)
        return LoopbackPort(
            VirtualBus([s for s in servos if BAUD_RATES[s.memory.get("baud_rate")] == baud], now_ns=time.now_ns()), time
        )

    return open_at, opened, time.now_ns


def test_servos_are_found_at_the_rate_that_they_are_set_to():
    open_at, opened, clock = line({5: 1, 8: 0})
    answers = {answer.baud: sorted(answer.servos) for answer in scan(open_at, clock=clock)}
    assert answers.pop(1_000_000) == [1, 2, 3, 4, 6, 7, 9]
    assert answers.pop(57_600) == [5]
    assert answers.pop(9600) == [8]
    assert set(answers) == {115_200, 2_000_000, 3_000_000, 4_000_000}
    assert not any(answers.values())
    assert tuple(opened) == RATES


def test_who_has_found_enough_may_stop():
    open_at, opened, clock = line({})
    assert len(next(scan(open_at, clock=clock)).servos) == 9
    assert opened == [1_000_000]


def test_expected_servos_are_pinged_alone_when_their_reply_was_damaged():
    port = NumberedServos(["good", "damage"], servos={1, 2})
    (answer,) = scan(lambda baud: port, [57_600], expected=(1, 2, 7), clock=port.clock)
    assert (answer.baud, sorted(answer.servos), answer.damaged) == (57_600, [1, 2], 1)
    (answer,) = scan(lambda baud: NumberedServos(["damage"], servos={1}), [57_600], clock=port.clock)
    assert (answer.servos, answer.damaged) == ({}, 1)


def test_rates_that_the_adapter_cannot_do_are_left_out():
    open_at, _, clock = line({})

    def picky(baud):
        if baud > 3_000_000:
            raise PortError("no such rate")
        return open_at(baud)

    assert [answer.baud for answer in scan(picky, clock=clock)] == [rate for rate in RATES if rate <= 3_000_000]


def test_a_missing_or_lost_port_is_an_error():
    def missing(baud):
        raise PortError("no port")

    with pytest.raises(PortError, match="no port"):
        list(scan(missing))
    port = NumberedServos()
    port.lost = True
    with pytest.raises(PortLostError):
        list(scan(lambda baud: port, clock=port.clock))
