"""The session is killed: the arm holds, and whoever comes next takes it over where it is."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from helpers import ENVIRONMENT, HELPERS
from helpers.arm_process_helpers import NEARLY_ASLEEP, PATIENT, SLOW, Bench, follow, runs, turned, until

from drivers.dynamixel.servo_map import WX250S
from drivers.errors import PortError
from drivers.hosting import claim, record
from drivers.widowx.setpoints import MotionLimits
from drivers.widowx.settings import ArmSettings


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.close()


@contextmanager
def session(bench, orphan, goal=(), **settings):
    """A session in another process; gives (the session, pid of its arm's process)."""
    arguments = [
        bench.path,
        json.dumps(ArmSettings(**{**PATIENT, **settings}).to_dict()),
        json.dumps(orphan),
        *map(str, goal),
    ]
    with subprocess.Popen(
        [sys.executable, str(HELPERS / "killable_session.py"), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as process_:
        pid = int(process_.stdout.readline())
        try:
            yield process_, pid
        finally:
            process_.kill()
    if runs(pid):
        os.kill(pid, signal.SIGKILL)


def test_a_killed_session_leaves_an_arm_that_holds_and_is_taken_over_at_once(bench, caplog):
    far = turned(0, 2.5)
    with session(bench, {"orphan_s": 600}, far, motion=SLOW, on_close="sleep") as (first, pid):
        until(lambda: bench.joints[0] > NEARLY_ASLEEP[0] + 0.1)
        first.kill()
        first.wait()
        until(bench.stands)
        stood = bench.joints
        assert stood[0] < far[0] - 0.5
        with caplog.at_level(logging.WARNING), bench.arm() as arm:
            assert not runs(pid)
            until(lambda: f"taken over from the session of process {first.pid}" in caplog.text)
            np.testing.assert_allclose(bench.joints, stood, atol=0.01)
            np.testing.assert_allclose(arm.read().joints, stood, atol=0.01)
            assert all(bench.torques.values())
            assert bench.get(1, "bus_watchdog") == PATIENT["watchdog_units"]
            follow(arm, stood - 0.05)


@pytest.mark.parametrize(
    ("orphan", "number"),
    [
        ({"on_orphan": "sleep", "orphan_s": 600}, None),
        ({"on_orphan": "hold", "orphan_s": 0.2}, None),
        ({"on_orphan": "hold", "orphan_s": 600}, signal.SIGTERM),
    ],
    ids=["told to sleep", "waited long enough", "told to end"],
)
def test_an_arm_that_nobody_takes_over_closes(bench, orphan, number):
    with session(bench, orphan, on_close="sleep") as (first, pid):
        first.kill()
        first.wait()
        if number is not None:
            assert all(bench.torques.values())
            os.kill(pid, number)
        until(lambda: not runs(pid))
        np.testing.assert_allclose(bench.joints, WX250S.sleep, atol=0.02)
        assert not any(bench.torques.values())


def test_an_arm_that_folds_up_by_itself_stops_for_the_next_session(bench):
    with session(bench, {"on_orphan": "sleep"}, on_close="sleep", sleep_motion=MotionLimits(0.02, 1.0)) as (first, pid):
        start = bench.joints
        first.kill()
        until(lambda: np.abs(bench.joints - start).max() > 0.01)
        with bench.arm() as arm:
            assert not runs(pid)
            stood = bench.joints
            assert np.abs(stood - WX250S.sleep).max() > 0.02
            assert all(bench.torques.values())
            follow(arm, stood)


def test_a_session_that_ends_without_closing_is_like_a_killed_one(bench):
    with session(bench, {"orphan_s": 600}) as (first, pid):
        first.send_signal(signal.SIGINT)  # KeyboardInterrupt
        first.wait()
        assert runs(pid)
        with bench.arm():
            assert not runs(pid)
        assert all(bench.torques.values())


# -- who has the arm ------------------------------------------------------------------------------------
def test_a_process_that_does_not_answer_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(claim, "_PATIENCE_S", 0.3)
    first = claim.Claim(str(tmp_path / "port"))
    with pytest.raises(
        PortError, match=rf"driven by process {os.getpid()}, which doesn't answer.*kill -9 {os.getpid()}"
    ):
        claim.Claim(str(tmp_path / "port"))
    claim.Claim(str(tmp_path / "other")).release()
    first.release()
    claim.Claim(str(tmp_path / "port")).release()


def test_users_other_than_this_one_are_not_answered(tmp_path, monkeypatch):
    port = str(tmp_path / "port")
    first = claim.Claim(port)
    monkeypatch.setattr(claim, "_peer", lambda connection: (1, os.geteuid() + 1))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
        visitor.connect(claim._socket_name(port))
        assert first.visitor() is None
    first.release()


_SQUATTER = """
import json, os, socket, sys
os.setuid(65534)
squatter = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
squatter.bind(bytes.fromhex(sys.argv[1]))
squatter.listen()
print("ready", flush=True)
while True:
    visitor, _ = squatter.accept()
    with visitor:
        visitor.send(json.dumps({"lets_go": True, "session": 1, "held_s": 9.0, "faults": []}).encode())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user")
def test_what_another_user_says_who_took_the_name_is_not_believed(tmp_path):
    port = str(tmp_path / "port")
    name = claim._socket_name(port).hex()
    nobody = subprocess.Popen([sys.executable, "-c", _SQUATTER, name], stdout=subprocess.PIPE)
    try:
        assert nobody.stdout.readline() == b"ready\n"
        with pytest.raises(PortError, match=rf"claimed by process {nobody.pid} of another user \(id 65534\)"):
            claim.Claim(port)
    finally:
        nobody.kill()
        nobody.wait()
        nobody.stdout.close()
    claim.Claim(port).release()


def test_a_device_has_one_claim_by_each_of_its_names_also_while_it_is_unplugged(tmp_path, monkeypatch):
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    monkeypatch.setattr(record, "_BY_ID", by_id)
    link, node = by_id / "usb-FTDI_U2D2_A1-if00", tmp_path / "ttyUSB0"
    node.touch()
    link.symlink_to(node)
    first = claim.Claim(str(node))
    monkeypatch.setattr(claim, "_PATIENCE_S", 0.0)
    node.rename(tmp_path / "ttyUSB1")  # plugged in again, it has another number
    with pytest.raises(PortError, match="doesn't answer"):
        claim.Claim(str(link))
    link.unlink()
    link.symlink_to(tmp_path / "ttyUSB1")
    for name in (link, tmp_path / "ttyUSB1"):
        with pytest.raises(PortError, match="doesn't answer"):
            claim.Claim(str(name))
    first.release()
    claim.Claim(str(link)).release()


def test_an_answer_to_somebody_who_left_is_no_trouble():
    ours, theirs = socket.socketpair()
    theirs.close()
    claim.answer(ours, lets_go=True)
