"""A package outside brings things of its own without a change to this project; each check runs in a fresh process."""

import json
import subprocess
import sys

import numpy as np
import pytest
from helpers import ROOT, outside
from safetensors import safe_open

from trajectories.store import TrajectoryStore


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return outside.install(tmp_path_factory.mktemp("outside"))


def answer(installed, code):
    """What the code says as JSON on its last line, run where the package is installed."""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=outside.environment(installed),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout.splitlines()[-1])


CAMERA = """
import json
from omegaconf import OmegaConf
from commands.doctor.cameras import check_attached, check_streams, configured_cameras, find_attached
from drivers.cameras.camera import ProcessCamera
from factory.cameras import camera_settings
from trajectories.errors import ConfigError

size = 24
cameras = {"front": {"kind": "pattern", "colour": [10, 20, 30], "fps": 50, "latency_ms": 2.0}}
attached = find_attached()
configs, problems = configured_cameras(OmegaConf.create({"image_size": size, "cameras": cameras}), attached)
listed = [finding.found for finding in check_attached(attached)]
streams = [finding.state for finding in check_streams(configs, 0.5, 60.0)]
with ProcessCamera(configs["front"]).wait() as camera:
    image = camera.latest(10**10).image
try:
    camera_settings("front", OmegaConf.create({"kind": "pattern", "hue": 3}), size)
except ConfigError as error:
    refused = str(error)
print(json.dumps({"listed": listed, "problems": [str(problem) for problem in problems], "streams": streams,
    "shape": image.shape, "colour": sorted(set(map(tuple, image.reshape(-1, 3).tolist())))[0], "refused": refused,
    "latency_ms": configs["front"].latency_ms}))
"""


def test_a_camera_kind(installed):
    """The camera's own process makes the source from the package; the doctor lists it and watches it stream."""
    said = answer(installed, CAMERA)
    assert "test pattern generator0" in said["listed"]
    assert said["problems"] == []
    assert said["streams"] in (["ok"], ["warn"])  # slower than asked for when the machine is busy
    assert said["shape"] == [24, 24, 3]
    assert said["colour"] == [10, 20, 30]
    assert said["latency_ms"] == 2.0
    for words in ("no setting 'hue'", "kind pattern has device, resolution, fps, colour"):
        assert words in said["refused"]


OURS = ("task=cube_to_bowl", "reward=mean_picture", "method=three_critics_fast")
SHORT = (
    "profile=tiny", "workers=1", "progress=false", "robot.image_size=64", "collect.demos=2", "collect.failures=2",
    "collect.play=0", "collect.aftermath=0", "pretrain.encoder_steps=10", "finetune.steps=24",
    "finetune.warmup_steps=12", "finetune.snapshot_every=24",
)  # fmt: skip


def regrasp(installed, *arguments):
    """What a verb prints, run where the package is installed."""
    ran = subprocess.run(
        [sys.executable, "-m", "commands", *arguments],
        cwd=ROOT, env=outside.environment(installed), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, (ran.stdout + ran.stderr)[-3000:]
    return ran.stdout


@pytest.fixture(scope="module")
def session(installed, tmp_path_factory):
    """The run folder of a short session in the twin with task, judge and method of the package."""
    folder = tmp_path_factory.mktemp("session") / "run"
    for verb in ("collect", "train-reward", "pretrain", "finetune"):
        regrasp(installed, verb, *OURS, *SHORT, f"run_dir={folder}")
    return folder


@pytest.mark.timeout(240)
def test_a_session_with_task_judge_and_method(session):
    assert json.loads((session / "reward" / "kind.json").read_text()) == {"kind": "mean_picture"}
    tuned = session / "finetune_three_critics_fast"
    with TrajectoryStore(tuned / "episodes", read_only=True) as store:
        episodes = [store.read(name) for name in store.ids()]
    assert sum(map(len, episodes)) >= 24
    for episode in episodes:
        assert episode.task == "cube_to_bowl"
        assert "cube" in episode.instruction
        assert len(episode) <= 12  # max_steps of the package's YAML
        assert np.isfinite(episode.success_probability[1:]).all()  # the judge of the package read every frame
    with safe_open(tuned / "learner.safetensors", "np") as learner:
        assert learner.get_slice("critics.out_weight").get_shape() == [3, 1, 32]  # three critics, 32 wide
    assert (tuned / "snapshots" / "step_24").is_dir()


def test_help_and_settings_name_what_the_package_brings(installed):
    """A method without a YAML has the settings that the published ones share."""
    said = regrasp(installed, "finetune", "--help")
    assert "task=bin_weight|cube_to_bowl|own|" in said
    assert "|three_critics|three_critics_fast|" in said
    assert "reward=clip|embedded|mean_picture" in said
    said = regrasp(installed, "finetune", "method=three_critics", "--cfg", "job", "--package", "method")
    assert "registry: three_critics" in said
    assert "hidden:\n- 256\n- 256" in said
