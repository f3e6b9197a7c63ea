"""Only the right answer is taken for one: late, short, foreign, doubled and damaged replies never are."""

import pytest
from helpers.numbered_servos import NumberedServos
from helpers.servo_dialogue import SCRIPTS, bus_on, eventually
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.dynamixel.cycle import StateCycle
from drivers.dynamixel.registers import rad_to_ticks
from drivers.errors import PortLostError, ServoRefusedError, ServoTimeoutError
from trajectories.errors import ConfigError


# -- single reads ---------------------------------------------------------------------------------------
@settings(max_examples=400, deadline=None)
@given(SCRIPTS, st.lists(st.sampled_from([(1, "goal_position"), (1, "present_position"), (2, "goal_position")])))
def test_a_reading_is_never_older_than_its_request(script, questions):
    port = NumberedServos(script)
    bus = bus_on(port)
    for servo, name in questions:
        before = port.number
        try:
            value = bus.read(servo, name)
        except (ServoTimeoutError, ServoRefusedError):
            continue
        assert before < value <= port.number
    port.script.clear()
    assert eventually(lambda: bus.read(1, "present_position")) == port.number


def test_a_late_reply_is_not_the_answer_to_the_next_question():
    port = NumberedServos(["late", "late", "late"])
    bus = bus_on(port, retries=0)
    with pytest.raises(ServoTimeoutError, match=r"Servo 1 didn't answer.*numbered") as caught:
        bus.read(1, "goal_position")
    assert caught.value.ids == (1,)
    with pytest.raises(ServoTimeoutError):
        bus.read(1, "present_position")
    with pytest.raises(ServoTimeoutError):
        bus.read(1, "present_position")
    assert bus.read(1, "present_position") == port.number
    assert bus.statistics.fences == 3


def test_a_late_reply_of_another_length_is_counted_as_foreign():
    port = NumberedServos(["later"], late_ns=6_000_000)
    bus = bus_on(port, retries=1)
    assert bus.read(1, "present_position") == port.number
    assert bus.statistics.foreign_replies + bus.statistics.stray_bytes > 0


@pytest.mark.parametrize("fate", ["short", "long", "foreign", "damage", "cut", "drop"])
def test_what_is_no_answer_leads_to_a_repetition(fate):
    port = NumberedServos([fate])
    bus = bus_on(port)
    assert bus.read(3, "present_position") == port.number
    assert bus.statistics.retries == (0 if fate == "foreign" else 1)


def test_there_are_at_most_two_repetitions_and_they_keep_to_the_budget():
    port = NumberedServos(servos=())
    bus = bus_on(port)
    with pytest.raises(ServoTimeoutError):
        bus.read(1, "present_position")
    assert bus.statistics.requests == 3
    begin = port.now
    with pytest.raises(ServoTimeoutError):
        bus.read(2, "present_position", budget_s=0.02)
    assert port.now - begin <= 20_000_000
    assert bus.statistics.requests == 5
    with pytest.raises(ConfigError, match="retries"):
        bus_on(port, retries=3)


def test_a_refusal_is_an_error_of_its_own():
    bus = bus_on(NumberedServos(["refuse"]))
    with pytest.raises(ServoRefusedError, match="Servo 4 refused the read") as caught:
        bus.read(4, "present_position")
    assert (caught.value.servo, caught.value.number) == (4, 1)
    assert bus.statistics.retries == 0


def test_the_deadline_follows_from_the_wire():
    port = NumberedServos(servos=())
    bus = bus_on(port, retries=0, latency_s=0.004, return_delay_s=0.0005, baud=57_600)
    begin = port.now
    with pytest.raises(ServoTimeoutError):
        bus.read_bytes(1, 132, 4)
    wire_ns = (14 + 15) * 10 * 1e9 / 57_600
    # Then the line is listened to until it is quiet (1 ms).
    assert port.now - begin == pytest.approx(wire_ns + 4_500_000 + 1_000_000, abs=5_000)


def test_a_lost_port_is_its_own_error_and_reopening_works():
    port = NumberedServos()
    bus = bus_on(port)
    assert bus.read(1, "present_position") == 1
    port.lost = True
    with pytest.raises(PortLostError):
        bus.read(1, "present_position")
    port.lost = False
    bus.reopen()
    assert bus.read(1, "present_position") == port.number


# -- joint reads ----------------------------------------------------------------------------------------
@settings(max_examples=300, deadline=None)
@given(SCRIPTS, st.integers(1, 8), st.booleans(), st.integers(2, 9))
def test_a_cycle_never_returns_an_older_state(script, cycles, knows_fast, servos):
    port = NumberedServos(script)
    port.knows_fast = knows_fast
    bus = bus_on(port)
    cycle = StateCycle(bus, range(1, servos + 1))
    cycle.fast = True
    for turn in range(cycles + 6):
        before, begin, known = port.number, port.now, dict(cycle.newest)
        silent = ()
        try:
            cycle.read(health=turn % 3 == 2)
        except ServoTimeoutError as error:
            silent = error.ids
        states = {servo: state for servo, state in cycle.newest.items() if state is not known.get(servo)}
        assert set(states) == set(cycle.servos) - set(silent)
        for state in states.values():
            number = rad_to_ticks(state.position)
            assert before < number <= port.number
            assert begin <= state.t_ns <= port.now
    port.script.clear()
    assert set(eventually(cycle.read)) == set(cycle.servos)


def test_the_cycle_falls_back_when_fast_sync_read_is_not_answered():
    port = NumberedServos()
    port.knows_fast = False
    bus = bus_on(port)
    cycle = StateCycle(bus, range(1, 10))
    cycle.fast = True
    for _ in range(3):
        assert len(cycle.read()) == 9
    assert not cycle.fast
    assert bus.statistics.fast_fallbacks == 3
    before = bus.statistics.requests
    assert len(cycle.read()) == 9
    assert bus.statistics.requests == before + 1


def test_one_lost_joint_reply_does_not_give_fast_sync_read_up():
    port = NumberedServos()
    bus = bus_on(port)
    cycle = StateCycle(bus, range(1, 10))
    cycle.fast = True
    for _ in range(5):
        port.script.extend(["drop"])
        assert len(cycle.read()) == 9
        assert len(cycle.read()) == 9
    assert cycle.fast


def test_only_missing_servos_are_asked_again():
    port = NumberedServos(["good", "drop", "good", "damage"])
    bus = bus_on(port)
    cycle = StateCycle(bus, range(1, 6))
    assert len(cycle.read()) == 5
    assert [bytes(request.params[4:]) for request in port.requests] == [b"\x01\x02\x03\x04\x05", b"\x02\x04"]
    assert bus.statistics.crc_errors == 1


def test_a_dead_servo_is_named_and_the_others_stay_known():
    port = NumberedServos(servos={1, 2, 4})
    bus = bus_on(port)
    cycle = StateCycle(bus, range(1, 5))
    for _ in range(12):
        before = port.number
        with pytest.raises(ServoTimeoutError, match=r"\[3\]") as caught:
            cycle.read()
        assert caught.value.ids == (3,)
        assert {s for s, state in cycle.newest.items() if rad_to_ticks(state.position) > before} == {1, 2, 4}


def test_sync_read_names_the_silent():
    port = NumberedServos(servos={1, 2})
    bus = bus_on(port)
    with pytest.raises(ServoTimeoutError) as caught:
        bus.sync_read([1, 2, 3], "present_position")
    assert caught.value.ids == (3,)
    values = bus.sync_read([1, 2], "present_position")
    assert set(values.values()) == {port.number}


def test_a_cycle_keeps_to_its_budget():
    port = NumberedServos(servos={1, 2})
    bus = bus_on(port)
    cycle = StateCycle(bus, range(1, 4))
    for budget, requests in ((0.001, 1), (0.025, 2), (None, 3)):
        before, begin = bus.statistics.requests - bus.statistics.fences, port.now
        with pytest.raises(ServoTimeoutError):
            cycle.read(budget_s=budget)
        assert bus.statistics.requests - bus.statistics.fences - before == requests
        assert budget is None or requests == 1 or port.now - begin <= budget * 1e9
