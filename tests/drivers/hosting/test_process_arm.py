"""Any arm in a process of its own: what goes through, silence, faults, kills, take-over."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers.three_joint_arm import HOSTING, said
from helpers.widowx_setup import clear

from drivers.errors import PortError, PortLostError
from drivers.hosting.checks import Mode
from drivers.hosting.orphan import OrphanSettings
from drivers.hosting.process_arm import ProcessArm
from robot.control.faults import Fault
from trajectories.errors import ConfigError, DeviceError, SafetyError, StaleDataError
from trajectories.types import Command

PATIENT_S = 5.0


def connect(folder, **settings):
    return ProcessArm(HOSTING, {"device": str(folder)}, 3, max_age_s=PATIENT_S, **settings)


def command(*joints, width=0.02):
    return Command(np.array(joints, dtype=np.float64), width, time.monotonic_ns())


def until(true, seconds=10.0):
    give_up = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.01)


@pytest.fixture
def arm(tmp_path):
    arm = connect(tmp_path)
    yield arm
    arm.close()


def test_commands_and_states_of_three_joints_go_through(arm, tmp_path):
    arm.send(command(0.1, -0.2, 0.3, width=0.01))
    until(lambda: arm.read().joints.tolist() == [0.1, -0.2, 0.3])
    state = arm.read()
    assert state.gripper_width == 0.01
    assert state.velocities.shape == state.efforts.shape == (3,)
    assert arm.fault is None
    assert arm.mode is Mode.FOLLOW
    assert arm.pid != os.getpid()
    assert {"what": "send", "joints": [0.1, -0.2, 0.3]} in said(tmp_path)


def test_commands_of_other_arms_and_numbers_that_are_none_never_leave(arm, tmp_path):
    for joints in ((0.0,) * 6, (0.0, np.nan, 0.0)):
        with pytest.raises(SafetyError, match="3 finite joints"):
            arm.send(command(*joints))
    assert all(one["what"] != "send" for one in said(tmp_path))


def test_a_silent_session_means_hold_and_a_hold_goes_through(arm, tmp_path):
    arm.send(command(0.1, 0.0, 0.0))
    until(lambda: said(tmp_path)[-1]["what"] == "hold")
    assert [one["what"] for one in said(tmp_path)] == ["open", "send", "hold"]
    arm.hold()
    until(lambda: len(said(tmp_path)) == 4)
    assert said(tmp_path)[-1] == {"what": "hold"}


def test_the_arms_own_fault_latches_here_until_a_person_clears_it(arm, tmp_path):
    (tmp_path / "fault").write_text("too hot")
    until(lambda: arm.fault == "too hot")
    assert arm.mode is Mode.FAULT
    with pytest.raises(SafetyError, match=r"holds and takes no commands\. too hot"):
        arm.send(command(0.1, 0.0, 0.0))
    with pytest.raises(SafetyError, match="a person who gives a name"):
        clear(arm, " ")
    assert arm.fault == "too hot"
    clear(arm)
    assert arm.fault is None
    assert {"what": "clear", "person": "Ada"} in said(tmp_path)
    arm.send(command(0.1, 0.0, 0.0))
    until(lambda: arm.read().joints[0] == 0.1)


def test_a_killed_process_says_so_and_a_persons_word_starts_a_new_one(arm, tmp_path):
    os.kill(arm.pid, signal.SIGKILL)
    until(lambda: arm.fault is not None)
    assert "ended with code -9" in arm.fault
    assert "then clear this" in arm.fault
    with pytest.raises(StaleDataError, match="There is no joint state"):
        arm.read()
    with pytest.raises(PortLostError):
        arm.send(command(0.1, 0.0, 0.0))
    clear(arm)
    assert arm.fault is None
    assert [one["what"] for one in said(tmp_path)].count("open") == 2


def test_what_an_arm_cannot_do_is_said(arm):
    with pytest.raises(ConfigError, match="can't 'sleep'; it can be cleared and closed"):
        arm.ask("sleep", 5.0)


def test_one_session_at_a_time_and_closing_lets_the_next_one_in(tmp_path):
    with_it = connect(tmp_path)
    with pytest.raises(PortError, match=rf"belongs to a running session \(process {os.getpid()}"):
        connect(tmp_path)
    with_it.close()
    assert with_it.farewell == "The arm is closed."
    connect(tmp_path).close()
    assert [one["what"] for one in said(tmp_path)] == ["open", "close"] * 2


def test_a_killed_session_leaves_the_arm_holding_for_the_next_one(tmp_path):
    code = (
        "import sys, time, numpy as np; sys.path[:0] = ['.', 'tests']\n"
        "from drivers.hosting.process_arm import ProcessArm; from drivers.hosting.orphan import OrphanSettings\n"
        "from trajectories.types import Command\n"
        f"arm = ProcessArm({HOSTING!r}, {{'device': {str(tmp_path)!r}}}, 3, 5.0, OrphanSettings('hold', 30.0))\n"
        "arm.send(Command(np.full(3, 0.5), 0.02, time.monotonic_ns())); print('sent', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as session:
        assert session.stdout.readline() == b"sent\n"
        until(lambda: any(one["what"] == "send" for one in said(tmp_path)))
        session.kill()
    until(lambda: said(tmp_path)[-1]["what"] == "hold")
    arm = connect(tmp_path, orphan=OrphanSettings())
    said_now = [one["what"] for one in said(tmp_path)]
    assert said_now.count("close") == 1  # the first process let go, holding
    assert said_now.index("close") > said_now.index("hold")
    assert arm.fault is None
    arm.close()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("helpers.three_joint_arm:no_such", "There is no arm to host at"),
        ("no_such_package.arm:open", "There is no arm to host at"),
        ("helpers.three_joint_arm:HOSTING", "a function that takes settings"),
    ],
)
def test_what_cannot_be_hosted_is_refused(tmp_path, name, message):
    with pytest.raises(ConfigError, match=message):
        ProcessArm(name, {"device": str(tmp_path)}, 3)


def test_an_arm_whose_loop_ends_is_told_to_hold_and_closed(tmp_path):
    arm = connect(tmp_path)
    arm.send(command(0.1, 0.0, 0.0))
    until(lambda: said(tmp_path)[-1]["what"] == "send")
    (tmp_path / "broken").write_text("")
    until(lambda: arm.fault is not None and "broken" in arm.fault)
    assert [one["what"] for one in said(tmp_path)][-2:] == ["hold", "close"]
    with pytest.raises((PortLostError, SafetyError)):
        arm.send(command(0.1, 0.0, 0.0))
    arm.close()


def test_an_arm_that_could_not_be_released_is_told_of(tmp_path):
    arm = connect(tmp_path)
    (tmp_path / "stuck").write_text("")
    arm.close()
    assert arm.farewell == "The arm could NOT be released (OSError: stuck). Look at it."


def test_one_arm_has_one_claim_from_whichever_folder_and_by_whichever_link(tmp_path, monkeypatch):
    first = connect(tmp_path)
    (tmp_path.parent / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    for device in (tmp_path, tmp_path.parent / "link"):
        with pytest.raises(PortError, match="belongs to a running session"):
            connect(device)
    first.close()


def test_what_a_factory_makes_must_be_an_arm(tmp_path):
    with pytest.raises(DeviceError, match="open_nothing returned 42, which lacks read, send, hold, clear, close"):
        ProcessArm("helpers.three_joint_arm:open_nothing", {"device": str(tmp_path)}, 3)


def test_a_hold_reaches_any_arm_and_outlives_its_process(arm, tmp_path):
    hold = Fault("hold1", "Ada said hold", "hold", "Ada")
    arm.send(command(0.1, 0.0, 0.0))
    until(lambda: arm.read().joints[0] == 0.1)
    arm.trip(hold)
    until(lambda: said(tmp_path)[-1] == {"what": "hold"} and arm.mode is Mode.HOLD)
    with pytest.raises(SafetyError, match="Ada said hold"):
        arm.send(command(0.2, 0.0, 0.0))
    os.kill(arm.pid, signal.SIGKILL)
    until(lambda: len(arm.faults) == 2)
    arm.clear("Ben", [fault.id for fault in arm.faults if fault != hold])
    assert arm.faults == (hold,)
    sent = [one for one in said(tmp_path) if one["what"] == "send"]
    with pytest.raises(SafetyError, match="Ada said hold"):
        arm.send(command(0.2, 0.0, 0.0))
    assert [one for one in said(tmp_path) if one["what"] == "send"] == sent
    arm.clear("Ada", ["hold1"])
    arm.send(command(0.2, 0.0, 0.0))
    until(lambda: arm.read().joints[0] == 0.2)


def test_a_commanding_session_cannot_send_past_a_hold_that_its_latch_does_not_know(arm, tmp_path):
    """The arm's process refuses by itself what was ordered in the same moment."""
    arm._process.block.tell([Fault("hold1", "Ada said hold", "hold", "Ada")])
    until(lambda: arm.mode is Mode.HOLD)
    sent = [one for one in said(tmp_path) if one["what"] == "send"]
    arm._process.block.order(command(0.3, 0.0, 0.0))
    until(lambda: arm._process.block.published().beat_ns)
    arm.clear("Ada", ["hold1"])
    assert [one for one in said(tmp_path) if one["what"] == "send"] == sent
