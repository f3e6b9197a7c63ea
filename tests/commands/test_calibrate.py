"""`regrasp calibrate`: rehearsed, printed, refused; on the arm nothing moves before a person said so."""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from commands import attendance, calibrate
from commands.calibrate_latency import calibrate_latency, describe
from drivers.cameras.latency import Latency
from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.registers import RAD_PER_TICK
from drivers.dynamixel.servo_map import WX250S
from factory.calibration import calibration_in_use, mark_in_use
from robot.control.calibration import Calibration, newest_calibration
from robot.rollout.environment import RobotEnv
from sim.scene.calibration_scene import CalibrationScene
from sim.virtual.bus import VirtualBus, arm_servos
from sim.virtual.loopback import LoopbackPort, VirtualTime
from sim.virtual.motors import FirstOrderMotors
from trajectories.errors import ConfigError, SafetyError

OmegaConf.register_new_resolver("cores", lambda: 2, replace=True)
OFFSETS = (0.0, 0.03, -0.02, 0.04, -0.03, 0.0)


def settings(tmp_path, *overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose(
            "calibrate",
            [f"run_dir={tmp_path / 'run'}", f"calibrate.folder={tmp_path}", "calibrate.speed=0.6", *overrides],
        )


def on_arm(config):
    """As `robot=widowx` composes it."""
    OmegaConf.set_struct(config, False)
    config.robot.name, config.robot.model = "widowx", "wx250s"
    return config


@pytest.mark.parametrize(("arm", "joints"), [("wx250s", 6), ("wx200", 5)])
def test_the_rehearsal_saves_what_it_found_beside_the_truth(tmp_path, capsys, arm, joints):
    calibrate.run(settings(tmp_path, f"robot.model={arm}", "calibrate.what=joints", "calibrate.views=24", "seed=3"))
    said = capsys.readouterr().out
    assert "truth: the camera is" in said
    kept = newest_calibration(tmp_path, "twin")
    assert kept.cameras["front"].error_px < 0.3
    np.testing.assert_allclose(kept.cameras["front"].matrix()[:3, 3], (0.62, 0.0, 0.50), atol=0.002)
    assert max(map(abs, kept.joint_offsets)) > 0.005
    assert kept.joint_deviations[0] is None
    assert len(kept.joint_offsets) == joints


def test_the_board_is_drawn_and_nothing_else_happens(tmp_path):
    calibrate.run(settings(tmp_path / "none", f"board={tmp_path}/board.pdf", "robot.name=widowx"))
    assert (tmp_path / "board.pdf").read_bytes().startswith(b"%PDF")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["calibrate.what=elbow"], "expected one of camera, joints, shadows, latency"),
        (["calibrate.mount=ceiling"], "expected one of base, gripper"),
        (["calibrate.mount=gripper"], "needs calibrate.mount=base"),
        (["robot.name=virtual"], "rehearse with robot=twin"),
        (["calibrate.what=latency"], "Pictures of the twin have no latency"),
        (["robot.name=widowx", "robot.model=nope"], "no arm 'nope'; there are"),
        (["calibrate.what=shadows"], "calibrate.person=NAME"),
        (["robot.name=widowx", "calibrate.what=joints"], "calibrate.person=NAME"),
        (["robot.name=widowx", "calibrate.what=joints", "calibrate.person=Ada"], "calibrate.port"),
    ],
)
def test_wrong_settings_are_refused_before_anything_moves(tmp_path, overrides, message, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda text: pytest.fail("asked before it looked at the settings"))
    with pytest.raises(ConfigError, match=message):
        calibrate.run(settings(tmp_path, *overrides))


def test_without_a_terminal_nobody_says_yes(monkeypatch):
    def closed(text):
        raise EOFError

    monkeypatch.setattr("builtins.input", closed)
    with pytest.raises(ConfigError, match="person at a terminal"):
        calibrate.ask_person("Move?")


class Person:
    """Notes what is asked, and where the arm and its fingers are then."""

    def __init__(self):
        self.asked = []
        self.world = None

    def __call__(self, text):
        state = None if self.world is None else self.world.env.arm_state
        self.asked.append((text, state))


@pytest.fixture
def person(monkeypatch):
    """The twin in place of the arm, opened as the station."""
    person = Person()

    @contextmanager
    def open_station(config, notify, stop):
        person.world = CalibrationScene(
            calibrate.board_of(config).picture(8), calibrate.board_of(config).size_m, "front", person.offsets
        )
        try:
            yield SimpleNamespace(
                env=person.world.env, operator=None, wake=lambda: None, words=dict, figures=dict, frames=dict
            )
        finally:
            person.world.close()

    person.offsets = (0.0,) * 6
    monkeypatch.setattr(attendance, "open_station", open_station)
    return person


def test_on_the_arm_every_motion_follows_a_yes_and_the_board_is_given_back(tmp_path, person):
    config = on_arm(settings(tmp_path, "calibrate.views=20"))
    calibrate.measure(config, calibrate.board_of(config), person)
    words = [text for text, _ in person.asked]
    states = [state for _, state in person.asked]
    for text, expected in zip(
        words, ["home pose", "Hold the block", "step back", "gripper opens", "Take"], strict=True
    ):
        assert expected in text
    assert states[0] is None  # asked before the station was opened
    assert states[1].gripper_width > 0.04
    assert states[2].gripper_width < 0.002
    np.testing.assert_allclose(states[2].joints, states[1].joints, atol=0.02)
    assert np.abs(states[3].joints - states[2].joints).max() > 0.1
    assert states[4].gripper_width > 0.04
    kept = newest_calibration(tmp_path, "wx250s")
    np.testing.assert_allclose(kept.cameras["front"].matrix()[:3, 3], (0.62, 0.0, 0.50), atol=0.002)


def test_a_fault_leaves_time_to_take_the_board(tmp_path, person, monkeypatch):
    config = on_arm(settings(tmp_path))
    apply = RobotEnv.apply

    def fails(env, action):
        if len(person.asked) == 3:
            raise SafetyError("elbow too hot")
        return apply(env, action)

    monkeypatch.setattr(RobotEnv, "apply", fails)
    with pytest.raises(SafetyError, match="elbow too hot"):
        calibrate.measure(config, calibrate.board_of(config), person)
    assert "elbow too hot" in person.asked[-1][0]
    assert "take the board" in person.asked[-1][0]
    assert newest_calibration(tmp_path, "wx250s") is None


@pytest.fixture
def virtual(monkeypatch):
    """Virtual servos where the arm's would be."""
    virtual = VirtualBus(arm_servos(WX250S), FirstOrderMotors(), now_ns=0)
    time = VirtualTime(0)

    @contextmanager
    def open_bus(config):
        bus = DynamixelBus(lambda: LoopbackPort(virtual, time), clock=time.now_ns, latency_s=0.002)
        bus.identify(WX250S.servos)
        yield bus, WX250S

    monkeypatch.setattr(calibrate, "open_bus", open_bus)
    return virtual


def test_joint_offsets_end_in_the_servos_and_in_the_file(tmp_path, person, virtual, monkeypatch):
    person.offsets = OFFSETS
    config = on_arm(
        settings(tmp_path, "calibrate.what=joints", "calibrate.views=20", "calibrate.person=Ada", "calibrate.port=x")
    )
    calibrate.measure(config, calibrate.board_of(config), person)
    assert "torque off: support it" in person.asked[-1][0]
    kept = newest_calibration(tmp_path, "wx250s")
    np.testing.assert_allclose(kept.joint_offsets, OFFSETS, atol=0.005)
    in_servos = [virtual.servos[place.servo].memory.get("homing_offset") for place in WX250S.leaders[:-1]]
    np.testing.assert_allclose(np.multiply(in_servos, RAD_PER_TICK), kept.joint_offsets, atol=1e-9)
    assert virtual.servos[3].memory.get("homing_offset") == in_servos[1]
    monkeypatch.setattr(calibrate, "now", lambda: "2100-01-01T00:00:00+00:00")
    calibrate.measure(config, calibrate.board_of(config), person)  # the twin's offsets are still there: they add up
    again = newest_calibration(tmp_path, "wx250s")
    np.testing.assert_allclose(again.joint_offsets, np.multiply(2, OFFSETS), atol=0.01)


def test_the_calibration_in_use_is_the_arms_newest(tmp_path):
    config = on_arm(settings(tmp_path))
    config.robot.calibrations = str(tmp_path)
    assert calibration_in_use(config) is None
    for date in ("2026-12-01T09:00:00+00:00", "2026-11-21T10:00:00+00:00"):
        Calibration("wx250s", date).save(tmp_path)
    assert calibration_in_use(config).date == "2026-12-01T09:00:00+00:00"
    assert mark_in_use(config).date == "2026-12-01T09:00:00+00:00"
    assert config.calibrate.folder == str(tmp_path)
    config.robot.name = "twin"
    assert mark_in_use(config) is None


def test_pairs_are_made_to_agree(tmp_path, virtual, monkeypatch, capsys):
    config = on_arm(settings(tmp_path, "calibrate.what=shadows", "calibrate.person=Ada"))
    asked = []
    calibrate.calibrate_pairs(config, asked.append)
    assert "agree already" in capsys.readouterr().out
    with calibrate.open_bus(config) as (bus, _):
        bus.write(5, "homing_offset", 100)
        bus.transactions.wait(0.05)
    calibrate.calibrate_pairs(config, asked.append)
    assert abs(virtual.servos[5].memory.get("homing_offset")) <= 2
    assert "5: " in capsys.readouterr().out
    assert all("torque must be off" in text for text in asked)


def test_the_latency_of_the_virtual_arms_cameras_is_measured_by_its_own_motion(tmp_path, capsys):
    """Real drivers on both sides: servos on a pseudo-terminal, frames through the cameras' processes."""
    with initialize_config_module("configs", version_base="1.3"):
        overrides = ["robot=virtual", "calibrate.what=latency", "robot.image_size=96", "robot.fps=30"]
        config = compose("calibrate", [f"run_dir={tmp_path}", "calibrate.speed=0.6", *overrides])
    asked = []
    found = calibrate_latency(config, asked.append)
    assert len(asked) == 1
    assert "Clear its way" in asked[0]
    said = capsys.readouterr().out
    assert set(found) == {"front"}, said
    assert -50 <= found["front"].latency_ns / 1e6 <= 150  # rendering, socket and receipt; more where others compute
    assert found["front"].correlation > 0.5
    assert "Set robot.cameras.front.latency_ms=" in said


def test_a_latency_is_said_with_the_setting_that_takes_it_off():
    assert describe("front", Latency(41_600_000, 0.934)) == (
        "front: 42 ms from light to receipt (correlation 0.93). Set robot.cameras.front.latency_ms=42"
    )
    assert describe("wrist", Latency(-3_000_000, 0.9)).endswith("latency_ms=0")
