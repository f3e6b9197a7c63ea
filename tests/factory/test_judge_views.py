"""The judge's own image size: recorded beside the policy's pictures, which stay what they are."""

from types import SimpleNamespace

import numpy as np
import pytest
from hydra import compose, initialize_config_module

from drivers.cameras.view import CameraView
from factory.device_robot import session_environment
from factory.spec import cameras_of_judge, capture_sizes, spec_of
from factory.twin import TwinSettings, cached_twin
from rewards.cameras import cameras_from
from robot.control.home import HomeRegion
from robot.interfaces import Frame
from robot.rollout.judging import sample_observation
from sim.collect import collect_episode
from trajectories.errors import ConfigError, StaleDataError
from trajectories.store import TrajectoryStore
from trajectories.views import camera_of, size_of, view_name


def settings(*overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("collect", ["workers=1", *overrides])


def test_a_views_name_says_camera_and_size():
    assert view_name("front", 224) == "front-224px"
    assert (camera_of("front-224px"), size_of("front-224px", 96)) == ("front", 224)
    assert (camera_of("front"), size_of("front", 96)) == ("front", 96)


def test_without_a_size_of_its_own_the_judge_sees_what_the_policy_sees():
    config = settings()
    assert cameras_of_judge(config) == ("front",)
    assert spec_of(config) == spec_of(settings("reward.image_size=96"))
    assert dict(spec_of(config).cameras) == {"front": (96, 96)}


def test_the_specification_holds_the_judges_views_behind_the_cameras():
    config = settings("robot.cameras=[front,side,wrist]", "reward.image_size=128", "reward.cameras=[front,wrist]")
    expected = dict.fromkeys(("front", "side", "wrist"), (96, 96))
    assert dict(spec_of(config).cameras) == expected | {"front-128px": (128, 128), "wrist-128px": (128, 128)}
    assert next(iter(spec_of(config).cameras)) == "front"
    assert capture_sizes(config) == {"front": 128, "side": 96, "wrist": 128}
    named = {"cameras": ["front", "wrist"], "image_size": 128}
    assert cameras_from(named, spec_of(config)) == ("front-128px", "wrist-128px")
    assert sample_observation(spec_of(config), "").images["wrist-128px"].shape == (128, 128, 3)  # the gate's measure


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match=r"reward\.image_size is 16, expected at least 32"):
        spec_of(settings("reward.image_size=16"))
    with pytest.raises(ConfigError, match=r"reward\.cameras names roof; the robot has front"):
        spec_of(settings("reward.cameras=[roof]"))
    with pytest.raises(ConfigError, match=r"front-224px \(reward\.image_size\), which this robot"):
        cameras_from({"image_size": 224}, spec_of(settings()))


def test_the_twin_shows_both_sizes_and_the_policys_pictures_stay_as_they_are(tmp_path):
    plain = settings()
    small = cached_twin(TwinSettings.from_config(plain))
    small.reset("forward", np.random.default_rng(4))
    before = small.env.observe().images["front"].copy()
    small.close()
    config = settings("reward.image_size=160")
    twin = cached_twin(TwinSettings.from_config(config))
    twin.reset("forward", np.random.default_rng(4))
    seen = twin.env.observe().images
    assert {name: image.shape for name, image in seen.items()} == {"front": (96, 96, 3), "front-160px": (160, 160, 3)}
    assert np.array_equal(seen["front"], before)
    twice = seen["front-160px"][::2, ::2].astype(float)
    assert np.abs(twice.mean() - seen["front"].mean()) < 3  # the same scene
    episode = collect_episode(twin, "forward", np.random.default_rng(5), noise=0.2, failure=None, max_steps=2)
    with TrajectoryStore(tmp_path / "store", spec_of(config)) as store:
        store.commit(episode)
    read = TrajectoryStore(tmp_path / "store", read_only=True).read(episode.id)
    assert np.array_equal(read.images["front-160px"], episode.images["front-160px"])
    assert len(read.images["front-160px"]) == len(episode) + 1


class Device:
    """A camera that shows one picture."""

    def __init__(self, size):
        rng = np.random.default_rng(0)
        image, depth = rng.integers(0, 256, (size, size, 3), dtype=np.uint8), np.full((size, size), 500, np.uint16)
        self.frame = Frame(image, 7, depth)

    def latest(self, max_age_ns):
        if max_age_ns < 1:
            raise StaleDataError("old")
        return self.frame


def test_a_view_shrinks_a_devices_frames():
    device = Device(192)
    frame = CameraView(device, (96, 96)).latest(10)
    assert frame.t_ns == 7
    means = device.frame.image.reshape(96, 2, 96, 2, 3).mean(axis=(1, 3))
    assert np.abs(frame.image - means).max() <= 0.5
    assert frame.depth.shape == (96, 96)
    with pytest.raises(StaleDataError):
        CameraView(device, (96, 96)).latest(0)
    with pytest.raises(ConfigError, match="192 x 192 are used"):
        CameraView(device, (224, 224)).latest(10)


def test_a_robot_of_devices_opens_each_once_and_shows_it_at_both_sizes(monkeypatch):
    made = {}
    monkeypatch.setattr(
        "robot.rollout.environment.RobotEnv", lambda arm, cameras, clock, spec, **rest: made.update(cameras)
    )
    config = settings("robot=widowx", "reward.image_size=192")
    model = SimpleNamespace(limits=lambda: None, require_fits=lambda limits: None, home=HomeRegion())
    monkeypatch.setattr("factory.device_robot.limits_of", lambda config: None)
    device = Device(192)
    session_environment(config, model, None, {"front": device})
    assert made["front-192px"] is device
    assert made["front"].latest(10).image.shape == (96, 96, 3)


@pytest.mark.parametrize(("task", "opens"), [("pot_lid", True), ("candy_sweeping", False)])
def test_a_robot_of_devices_goes_home_with_its_gripper_closed_where_the_task_keeps_a_tool(monkeypatch, task, opens):
    made = {}
    monkeypatch.setattr("robot.rollout.environment.RobotEnv", lambda *devices, home, **rest: made.update(home=home))
    monkeypatch.setattr("factory.device_robot.limits_of", lambda config: None)
    config = settings("robot=widowx", f"task={task}")
    session_environment(config, SimpleNamespace(home=HomeRegion(speed=0.5)), None, {"front": Device(96)})
    assert made["home"] == HomeRegion(speed=0.5, opens=opens)
