"""A package outside brings things of its own without a change to this project; each check runs in a fresh process."""

import json
import re
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from helpers import ROOT, outside
from helpers.verbs import run_verbs
from safetensors import safe_open

from commands.outside_configs import ENTRY_POINTS
from trajectories.store import TrajectoryStore

ROOMS = ("trajectories", "robot", "drivers", "sim", "rewards", "policies", "factory", "commands")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return outside.install(tmp_path_factory.mktemp("outside"))


def answer(installed, code, *arguments):
    """What the code says as JSON on its last line, run where the package is installed."""
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=outside.environment(installed),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, (ran.stdout + ran.stderr)[-3000:]
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


FORMAT = """
import json, sys
from trajectories.errors import RegraspError
from trajectories.formats.registry import creator, open_source

source = open_source(sys.argv[1])
episode = source.read(source.names()[0])
try:
    creator("text_table")
except RegraspError as error:
    refused = str(error)
print(json.dumps({"name": episode.name, "numbers": episode.columns["numbers"].tolist(), "refused": refused}))
"""


def test_a_format_of_files(installed, tmp_path):
    """A file is known by its name and opened by the package; what it doesn't write is refused."""
    (tmp_path / "first.table.txt").write_text("1 2\n3 4\n")
    said = answer(installed, FORMAT, str(tmp_path / "first.table.txt"))
    assert (said["name"], said["numbers"]) == ("first", [[1.0, 2.0], [3.0, 4.0]])
    assert "'text_table' is only read here" in said["refused"]


def test_the_documentation_shows_the_package_and_every_open_list():
    """The entry points of docs/extending.md are the package's, one for each registry of the project."""
    shown = tomllib.loads((ROOT / "docs" / "extending.md").read_text().split("```toml\n")[1].split("```")[0])
    package = tomllib.loads((outside.SOURCE / "pyproject.toml").read_text())
    assert shown["project"]["entry-points"] == package["project"]["entry-points"]
    sources = [path.read_text() for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    groups = {group for source in sources for group in re.findall(r'Registry\(\s*"(regrasp\.\w+)"', source)}
    assert {*groups, ENTRY_POINTS} == set(shown["project"]["entry-points"])
    table = (ROOT / "docs" / "design" / "rooms.md").read_text().split("## Where to add what")[1]
    assert all(f"`{group}`" in table for group in groups)


ARM = """
import json
import mujoco
import numpy as np
from robot.arms.registry import arm_model

arm = arm_model("column_arm")
model = mujoco.MjModel.from_xml_path(str(arm.mjcf))
data, kinematics, rng = mujoco.MjData(model), arm.kinematics(), np.random.default_rng(0)
apart, inverse = [], []
for _ in range(200):
    joints = rng.uniform(kinematics.lower, kinematics.upper)
    pose = kinematics.forward(joints)
    data.qpos[:4] = joints
    mujoco.mj_forward(model, data)
    apart.append(np.abs(pose.matrix()[:3, 3] - data.site("tip").xpos).max())
    apart.append(np.abs(pose.matrix()[:3, :3].ravel() - data.site("tip").xmat).max())
    if abs(np.arctan2(pose.position[1], pose.position[0]) - joints[0]) < 1e-6:  # the tip is in front of the column
        assert kinematics.attainable(pose) is pose
        inverse.append(np.abs(kinematics.inverse(pose, joints) - joints).max())
print(json.dumps([len(inverse), max(apart), max(inverse)]))
"""


def test_an_arm_of_four_joints(installed):
    """The package's kinematics are those of its MJCF, there and back."""
    count, apart, inverse = answer(installed, ARM)
    assert count > 100
    assert apart < 1e-12
    assert inverse < 1e-9


GYM = """
import json
import gymnasium
env = gymnasium.make("sim.register:regrasp/CubeToBowl-v0", image_size=32)
print(json.dumps(env.reset(seed=0)[0]["instruction"]))
"""


def test_a_task_has_a_gymnasium_id(installed):
    assert "cube" in answer(installed, GYM)


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
    """The run folder of a session with the package's arm, robot, camera, judge, task and method.

    Demonstrations are recorded in the twin, with the package's arm in the package's task.
    """
    folder = tmp_path_factory.mktemp("session") / "run"
    settings = [*OURS, *SHORT, f"run_dir={folder}", "robot.model=column_arm"]
    calls = [(verb, *settings) for verb in ("collect", "train-reward", "pretrain")]
    run_verbs(ROOT, outside.environment(installed), *calls)
    regrasp(installed, "finetune", *OURS, *SHORT, f"run_dir={folder}", "robot=bench")
    return folder


@pytest.mark.timeout(240)
def test_a_session_with_arm_camera_judge_task_and_method(session):
    with TrajectoryStore(session / "data", read_only=True) as store:
        recorded = [store.info(name) for name in store.ids()]
    assert {info.task for info in recorded} == {"cube_to_bowl", "cube_to_plate"}
    assert any(info.outcome == "success" for info in recorded)  # four joints are enough for this task
    assert json.loads((session / "reward" / "kind.json").read_text()) == {"kind": "mean_picture"}
    tuned = session / "finetune_three_critics_fast_bench_column_arm"
    with TrajectoryStore(tuned / "episodes", read_only=True) as store:
        episodes = [store.read(name) for name in store.ids()]
    assert sum(map(len, episodes)) >= 24
    for episode in episodes:
        assert episode.task == "cube_to_bowl"
        assert "cube" in episode.instruction
        assert len(episode) <= 24  # max_steps of the package's YAML
        assert np.isfinite(episode.success_probability[1:]).all()  # the judge of the package read every frame
        assert (np.median(episode.images["front"], axis=(1, 2)) == [40, 90, 140]).all()  # the pattern's colour
        tip = episode.proprio[:, :3]
        assert np.ptp(tip, axis=0).max() > 0.01  # the arm moved
        across = np.arctan2(tip[:, 1], tip[:, 0])  # and its gripper can't turn about its own axis
        np.testing.assert_allclose(episode.proprio[:, 5], across, atol=1e-4)
    figures = json.loads((tuned / "figures.json").read_text())
    assert figures["arm"]["mode"] == "follow"  # in a process of its own
    assert figures["cameras"]["front"]["device"] == "generator0"
    with safe_open(tuned / "learner.safetensors", "np") as learner:
        assert learner.get_slice("critics.out_weight").get_shape() == [3, 1, 32]  # three critics, 32 wide
    assert (tuned / "snapshots" / "step_24").is_dir()


def test_help_and_settings_name_what_the_package_brings(installed):
    """A method without a YAML has the settings that the published ones share."""
    said = regrasp(installed, "finetune", "--help")
    assert "|cube_to_bowl|own|" in said
    assert "|three_critics|three_critics_fast|" in said
    assert "reward=clip|embedded|generative_vlm|goal_pictures|mean_picture|" in said
    said = regrasp(installed, "finetune", "method=three_critics", "--cfg", "job", "--package", "method")
    assert "registry: three_critics" in said
    assert "hidden:\n- 256\n- 256" in said
    for name in ("three_critics", "wsrl"):  # where `method` is no group
        assert f"method: {name}" in regrasp(installed, "pretrain", "env=umaze", f"method={name}", "--cfg", "job")
