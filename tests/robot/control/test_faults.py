"""What stands, until exactly it is cleared: instances, words, records."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from helpers import ROOT

from robot.control.faults import Fault, FaultLatch, inherited, require_known
from trajectories.errors import SafetyError


def ids(latch):
    return [fault.id for fault in latch.standing]


def test_only_the_named_instance_is_cleared_and_only_by_a_person():
    latch = FaultLatch()
    first, second = latch.trip("overload"), latch.trip("Ada said hold", "hold")
    assert latch.reason == "overload Ada said hold"
    with pytest.raises(SafetyError, match="gives a name"):
        latch.clear(" ", [first.id])
    assert latch.clear("Ada", [first.id, "never"]) == (first,)
    assert latch.standing == (second,)
    assert latch.clear("Ada", [first.id]) == ()
    assert latch.clear("Ada", [second.id]) == (second,)
    assert latch.reason is None


def test_a_hold_said_again_is_not_ended_by_the_word_for_the_earlier_one():
    latch = FaultLatch()
    seen = latch.trip("Ada said hold", "hold")
    again = latch.trip("Ada said hold", "hold")
    assert seen.id != again.id
    latch.clear("Ada", [seen.id])
    assert latch.standing == (again,)


def test_a_fault_seen_in_every_cycle_is_one_instance_and_after_its_end_another_one():
    latch = FaultLatch()
    first = latch.trip("servo 2 reports overload", key="2")
    assert latch.trip("servo 2 reports overload and shock", key="2") is first
    renewed = latch.trip("the port is back", key="port", renew=True)
    assert latch.trip("the port is back", key="port", renew=True) is renewed
    assert latch.trip("the port is away", key="port", renew=True).id != renewed.id
    latch.clear("Ada", [first.id])
    assert latch.trip("servo 2 reports overload", key="2").id != first.id


def test_instances_of_another_process_are_taken_over_once_and_do_not_come_back():
    session, arm = FaultLatch(), FaultLatch()
    old = session.trip("Ada said hold", "hold")
    arm.add(session.standing)
    arm.add(session.standing)
    new = session.trip("Ada said hold", "hold")
    arm.add((new,))
    arm.add((old,))  # late
    assert arm.standing == (new,)
    arm.clear("Ada", [new.id])
    arm.add(session.standing)  # the session hasn't heard of the word yet
    assert arm.standing == ()


def test_of_two_that_meet_late_the_newer_one_stands():
    session, arm = FaultLatch(), FaultLatch()
    old = session.trip("Ada said hold", "hold")
    arm.add((old,))
    new = session.trip("Ada said hold", "hold")  # the arm's process ends before it hears of that
    next_session = FaultLatch()
    next_session.add((new,))
    next_session.add(arm.standing)
    assert next_session.standing == (new,)
    arm.add(next_session.standing)
    assert arm.standing == (new,)


def test_a_hold_said_after_the_clock_was_set_back_is_the_newer_one(monkeypatch):
    session, arm = FaultLatch(), FaultLatch()
    session.trip("Ada said hold", "hold")
    arm.add(session.standing)
    long_ago = time.time_ns() - 10**15
    monkeypatch.setattr("robot.control.faults.time.time_ns", lambda: long_ago)
    again = session.trip("Ada said hold", "hold")
    arm.add(session.standing)
    assert arm.standing == session.standing == (again,)
    arm.clear("Ada", [again.id])
    assert arm.standing == ()


def test_listeners_hear_what_stands_now_and_every_change():
    latch, heard = FaultLatch(), []
    first = latch.trip("overload")
    latch.subscribe(heard.append)
    latch.clear("Ada", [first.id])
    latch.unsubscribe(heard.append)
    latch.trip("more")
    assert heard == [(first,), ()]


def test_a_clear_must_name_what_stands():
    standing = (Fault("ab1", "overload"),)
    require_known(["ab1"], standing)
    for named in ([], ["ab2"], ["ab1", "ab2"]):
        with pytest.raises(SafetyError, match="what stands now is ab1: overload"):
            require_known(named, standing)


def test_a_record_outlives_the_kill_of_its_process(tmp_path):
    record = tmp_path / "folder" / "arm.faults"
    code = (
        "import sys, time; from pathlib import Path; from robot.control.faults import FaultLatch\n"
        "latch = FaultLatch(Path(sys.argv[1])); latch.trip('overload', key='2'); latch.trip('Ada said hold', 'hold')\n"
        "print('done', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(record)], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout.readline() == b"done\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    latch = FaultLatch(record)
    assert [(fault.reason, fault.kind) for fault in latch.standing] == [
        ("overload", "fault"),
        ("Ada said hold", "hold"),
    ]
    latch.clear("Ada", ids(latch)[:1])
    assert ids(FaultLatch(record)) == ids(latch)
    latch.clear("Ada", ids(latch))
    assert list(record.parent.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", '{"faults": 3}', '{"faults": [{}]}', '{"faults": ["a"]}', "[" * 100_000,
        '{"faults": [{"id": "a", "reason": "b", "since_ns": 1e400}]}',
    ],
    ids=range(8),
)  # fmt: skip
def test_a_record_that_cannot_be_read_stands_for_a_fault(tmp_path, text):
    record = tmp_path / "arm.faults"
    record.write_text(text)
    latch = FaultLatch(record)
    assert "can't be read" in latch.reason
    latch.clear("Ada", ids(latch))
    assert FaultLatch(record).standing == ()


def test_two_records_that_cannot_be_read_are_two_faults(tmp_path):
    latch = FaultLatch()
    for name in ("run", "arm"):
        (tmp_path / name).write_text("{")
        latch.add(FaultLatch(tmp_path / name).standing)
    latch.clear("Ada", ids(latch)[:1])
    assert "arm, can't be read" in latch.reason


def test_rests_of_several_processes_stand_side_by_side(tmp_path):
    record = tmp_path / "arm.faults"
    for count in (1, 2, 3):
        latch = FaultLatch(record)
        latch.trip("hot", "rest", key="rest")
        assert len(latch.standing) == count
    latch = FaultLatch(record)
    latch.add(FaultLatch(record).standing)
    latch.trip("overload", key="2")
    assert len(latch.standing) == 4


def test_a_rest_is_inherited_as_a_fault_and_an_unknown_kind_too():
    raws = [{"id": "a1", "reason": "hot", "kind": "rest"}, {"id": "a2", "reason": "new", "kind": "of tomorrow"}]
    assert [fault.kind for fault in inherited(json.loads(json.dumps(raws)))] == ["fault", "fault"]
