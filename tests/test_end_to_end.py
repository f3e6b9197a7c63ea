"""The whole path through the real processes, much shorter than useful."""

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest
from helpers import ROOT
from helpers.processes import children
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from commands import pretrain
from commands.collect import collect
from commands.evaluate import evaluate
from factory.spec import spec_of
from policies.learner.learner_status import LearnerStatus
from policies.perception.loading import load_perception
from robot.fleet import host_name
from robot.rollout.places import Places
from trajectories.store import TrajectoryStore

TINY = ("profile=tiny", "+reward.members=1")


def regrasp(run_dir, verb, *overrides):
    command = [sys.executable, "-m", "commands", verb, *TINY, f"run_dir={run_dir}", "workers=2", *overrides]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def in_process(run_dir, verb, *overrides):
    """The same without a process of its own, whose imports take longer than such short work."""
    OmegaConf.register_new_resolver("cores", lambda: 1, replace=True)
    with initialize_config_module("configs", version_base="1.3"):
        verb.run(compose(verb.__name__.split(".")[-1], ["profile=tiny", f"run_dir={run_dir}", "workers=1", *overrides]))


def finished(process, seconds=500):
    output, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, output[-3000:]
    return output


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "demo"
    output = finished(regrasp(folder, "demo", "workers=3"))  # one more than actor and learner: it evaluates meanwhile
    assert "Report:" in output
    return folder


@pytest.mark.timeout(600)
def test_a_tiny_demo_leaves_a_report_with_everything_in_it(run_dir):
    page = (run_dir / "report.html").read_text()
    for part in ("<svg", "data:video/mp4", "false positives", "no privileged state", "Resets"):
        assert part in page
    with initialize_config_module("configs", version_base="1.3"):
        plan = [job.key for job in collect.plan_of(compose("demo", ["profile=tiny", "workers=2"]))]
    with TrajectoryStore(run_dir / "data", read_only=True) as store:
        assert [info.metadata["job"] for info in store.infos()] == plan  # two workers recorded it
    (folder,) = (run_dir / "evaluations").iterdir()  # of the conditions, the same before and after
    result = json.loads((folder / "pretrained" / "result.json").read_text())
    assert folder.name == result["conditions_digest"]
    assert set(result["cells"]) == {
        f"{way}/{mode}" for way in ("forward", "backward") for mode in ("stochastic", "deterministic")
    }
    assert all(cell["episodes"] == 2 for cell in result["cells"].values())
    with initialize_config_module("configs", version_base="1.3"):
        spec = spec_of(compose("demo", ["profile=tiny", "workers=2"]))
    found = Places.load(run_dir / "pretrained", "pot_pick_place", spec)
    assert all(len(rows) for rows in found.of.values())
    status = json.loads((run_dir / "finetune_regrasp" / "actor.json").read_text())
    assert status["steps"] >= 160
    with TrajectoryStore(run_dir / "finetune_regrasp" / "episodes", read_only=True) as store:
        assert {info.metadata["actor"] for info in store.infos()} == {host_name()}
    (actor,) = LearnerStatus.read(run_dir / "finetune_regrasp" / "learner.json").actors
    assert (actor.name, actor.report.state, actor.steps) == (host_name(), "finished", status["steps"])
    assert "evaluating pretrained" in (run_dir / "finetune_regrasp" / "evaluations.log").read_text()
    assert (run_dir / "stages.json").exists()


@pytest.mark.timeout(600)
def test_a_finished_demo_is_not_done_again(run_dir):
    output = finished(regrasp(run_dir, "demo"))
    assert output.count("done before") == 7


@pytest.mark.timeout(600)
def test_an_image_encoder_goes_the_same_way(run_dir, tmp_path):
    """Only pre-training is told of it: everything after takes what is in the folder."""
    for part in ("data", "reward"):
        (tmp_path / part).symlink_to(run_dir / part)
    small = ["encoder.network.widths=[4,4]", "encoder.network.strides=[4,4]", "encoder.width=8"]
    in_process(
        tmp_path,
        pretrain,
        "encoder=cnn",
        *small,
        "pretrain.clone_steps=3",
        "pretrain.steps=3",
        "pretrain.freeze_encoder=false",
    )
    brief = [
        "task.displace=0.5",
        "task.max_steps=10",
        "finetune.steps=30",
        "finetune.warmup_steps=10",
        "finetune.snapshot_every=30",
    ]
    finished(regrasp(tmp_path, "finetune", "finetune.freeze_encoder=false", *brief))
    trials = ["evaluate.episodes=1", "evaluate.modes=[stochastic]", "evaluate.videos=0"]
    in_process(tmp_path, evaluate, "task.max_steps=10", *trials)
    result = json.loads(next((tmp_path / "evaluations").glob("*/regrasp/step_30/result.json")).read_text())
    assert set(result["cells"]) == {"forward/stochastic", "backward/stochastic"}
    before, after = (load_perception(tmp_path / name) for name in ("pretrained", "finetune_regrasp/snapshots/step_30"))
    assert before.kind == after.kind == "cnn"
    assert before.digest != after.digest  # the critics went on training it


@pytest.mark.timeout(600)
def test_kills_lose_and_double_nothing(run_dir):
    """Actor, learner, then both are killed; the same command goes on and every episode counts once."""
    folder = run_dir / "finetune_regrasp"
    longer = "finetune.steps=280"
    process = regrasp(run_dir, "finetune", longer)
    episodes = folder / "episodes"

    def stored():
        with TrajectoryStore(episodes, read_only=True) as store:
            return {info.id: info.length for info in store.infos()}

    def wait_for(count, seconds=200):
        until = time.monotonic() + seconds
        while len(stored()) < count:
            assert process.poll() is None, process.communicate()[0][-3000:]
            assert time.monotonic() < until, "no new episode arrived"
            time.sleep(0.2)

    seen = stored()
    for victims in (["actor"], ["learner"], ["actor", "learner"]):
        wait_for(len(seen) + 1)
        for victim in victims:
            for pid in children(process.pid, victim):
                os.kill(pid, signal.SIGKILL)
        now = stored()
        assert seen.items() <= now.items(), "an acknowledged episode is gone"
        seen = now
    finished(process)
    now = stored()
    assert seen.items() <= now.items()
    assert sum(now.values()) >= 280
    assert json.loads((folder / "actor.json").read_text())["steps"] == sum(now.values())
    with TrajectoryStore(folder / "outbox", read_only=True) as outbox:
        assert len(outbox) == 0


@pytest.mark.timeout(300)
def test_actor_and_learner_end_with_the_command_that_started_them(run_dir):
    """Killed, so that it can tell nobody: an arm must not go on moving without anybody who watches."""
    process = regrasp(run_dir, "finetune", "finetune.steps=800")
    until = time.monotonic() + 120
    workers = []
    while len(workers) < 2:
        assert process.poll() is None, process.communicate()[0][-3000:]
        assert time.monotonic() < until, "actor and learner did not start"
        workers = [pid for verb in ("actor", "learner") for pid in children(process.pid, verb)]
        time.sleep(0.2)
    time.sleep(5.0)  # they are acting
    process.kill()
    process.wait()
    until = time.monotonic() + 120
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < until, "actor or learner goes on"
        time.sleep(0.2)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", ["ctrl-c", "closed terminal"])
def test_the_terminal_ends_the_run_in_order(run_dir, how):
    """One Ctrl-C, or closing the window: the episode under way is finished and kept, both processes save and end."""
    folder, started = run_dir / "finetune_regrasp", time.time()
    master, slave = os.openpty()
    command = [sys.executable, "-m", "commands", "finetune", *TINY, f"run_dir={run_dir}"]
    process = subprocess.Popen(
        [*command, "finetune.steps=100000"], cwd=ROOT, stdin=slave, stdout=slave, stderr=slave,
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(slave)
    reader = Reader(master)

    def status():
        return json.loads((folder / "actor.json").read_text())

    def until(condition, seconds=240):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, reader.text()[-3000:]
            time.sleep(0.05)

    try:
        until(lambda: len(children(process.pid, "actor")) == 1)
        workers = [pid for verb in ("actor", "learner") for pid in children(process.pid, verb)]
        mark = len((folder / "actor.log").read_text())
        until(lambda: status()["state"] == "acting" and status()["updated_s"] > started)
        before = status()["episodes"]
        if how == "ctrl-c":
            os.write(master, b"\x03")
        else:
            reader.close()  # the kernel tells the session's leader ...
            os.killpg(process.pid, signal.SIGHUP)  # ... and a shell each of its jobs
        assert process.wait(240) == 130
        assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    finally:
        process.kill()
        process.wait()
        reader.close()
    said = (folder / "actor.log").read_text()[mark:]
    assert status()["state"] == "stopped", said
    assert status()["episodes"] >= before + 1
    assert status()["outbox"] == 0
    assert "none is waiting" in said
    assert "stopped with a checkpoint" in (folder / "learner.log").read_text().splitlines()[-1]
    with TrajectoryStore(folder / "episodes", read_only=True) as store:
        assert len(store.infos()) == status()["episodes"]


class Reader:
    """Reads what comes out of a pseudo-terminal, until it is closed."""

    def __init__(self, master):
        self._master, self._got, self._closing = master, bytearray(), False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while not self._closing:
            if select.select([self._master], [], [], 0.05)[0]:
                try:
                    self._got += os.read(self._master, 1 << 16)
                except OSError:  # nobody has the other end
                    return

    def text(self):
        return self._got.decode(errors="replace")

    def close(self):
        if not self._closing:
            self._closing = True
            self._thread.join()
            os.close(self._master)
