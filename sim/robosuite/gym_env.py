"""robosuite's tasks as Gymnasium environments: `robosuite/Lift-v0` and so on, for any of its robots and controllers.

    import gymnasium
    env = gymnasium.make("sim.robosuite.gym_env:robosuite/Lift-v0", robots="Panda", cameras=["agentview"])

An observation is a dictionary of what robosuite observes, under robomimic's names, so that data of either fit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import robosuite
from gymnasium import spaces
from numpy.typing import NDArray
from robosuite import macros

import sim.robosuite.widowx  # noqa: F401  (registers the arm)
from sim.rendering import load_triton
from sim.robosuite.controllers import controller_settings
from sim.robosuite.drawing import make_current
from sim.robosuite.draws import Draws
from trajectories.errors import ConfigError
from trajectories.types import UInt8

NAMESPACE = "robosuite"
MAX_STEPS = 400
"""Control steps of an episode, as in robomimic's experiments with Lift, Can and Square."""
KEYS = re.compile(r"robot\d+_((left|right)_)?(eef_pos|eef_quat|gripper_qpos)|object")
"""What is observed unless one asks for something else: robomimic's "low_dim" observations."""
_OBJECT = "object-state"
_IMAGE = "_image"
_OURS = ("horizon", "ignore_done", "use_camera_obs", "has_renderer", "has_offscreen_renderer", "camera_names")
_HERE_ALONE = ("hard_reset", "renderer")
_ROBOSUITE_TYPE = 1
"""robomimic's number for robosuite among its kinds of environments."""
_RENDERED = 256


class RobosuiteEnv(gymnasium.Env[dict[str, Any], NDArray[Any]]):
    """One of robosuite's tasks.

    Observations are {key: float32 (N,)} and {"<camera>_image": uint8 (H, W, 3), the right way up}; actions are those of
    the controller, float32 (A,). The reward is robosuite's: 1 with success and else 0, unless `reward_shaping` is set.
    `info["success"]` is robosuite's own check. Time that is up truncates; success terminates, unless told otherwise.

    Attributes:
        max_steps: Control steps after which an episode is truncated.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012  (gymnasium's own)

    def __init__(
        self,
        task: str,
        *,
        robots: str | Sequence[str] = "Panda",
        controller: str | None = None,
        keys: Sequence[str] | None = None,
        cameras: Sequence[str] = (),
        image_size: int = 84,
        max_steps: int = MAX_STEPS,
        ends_at_success: bool = True,
        hard_reset: bool | None = None,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        """Make the task.

        Args:
            task: One of robosuite's environments, e.g. "Lift".
            robots: One robot, or several for tasks of two arms.
            controller: Of the arms, e.g. "OSC_POSE" or "JOINT_POSITION", a composite one, e.g. "WHOLE_BODY_IK", or a
                JSON file of either; None for the robot's default.
            keys: What is observed besides images, by robosuite's names, with "object" for "object-state"; None takes
                end effectors, grippers and objects, as robomimic does.
            cameras: Whose images are observed, e.g. "agentview", "robot0_eye_in_hand".
            image_size: Height and width of every image, pixels.
            max_steps: Control steps after which an episode is truncated.
            ends_at_success: Whether success terminates an episode.
            hard_reset: Whether every reset compiles the scene anew, with sizes of objects that are drawn; None does so
                without cameras, where it takes 40 ms and not a second.
            render_mode: None or "rgb_array".
            settings: Further arguments of robosuite's environment, e.g. reward_shaping, control_freq, gripper_types.

        Raises:
            ConfigError: There is no such task, robot, controller, key or camera, or a setting has another name here.
        """
        robots = [robots] if isinstance(robots, str) else list(robots)
        _require_known(task, robots, settings)
        rendered = bool(cameras) or render_mode == "rgb_array"
        if rendered:
            load_triton()
        self._draws = Draws(0)
        self._cameras = tuple(cameras)
        options: dict[str, Any] = {
            "robots": robots,
            "controller_configs": controller_settings(controller, robots),
            "use_camera_obs": bool(cameras),
            "has_renderer": False,
            "has_offscreen_renderer": rendered,
            "renderer": "mujoco",
            "ignore_done": True,
            "hard_reset": not rendered if hard_reset is None else hard_reset,
        }
        if cameras:
            sizes = {"camera_heights": image_size, "camera_widths": image_size}
            options |= {"camera_names": list(cameras), **sizes}
        self._task, self._options = task, options | settings
        with self._draws.taken():
            self._env = robosuite.make(task, **self._options)
            first = self._env.reset()
        self._upside_down = macros.IMAGE_CONVENTION == "opengl"
        self.max_steps, self._steps, self._ends = max_steps, 0, ends_at_success
        self.metadata = {**type(self).metadata, "render_fps": round(self._env.control_freq)}
        self.render_mode = render_mode
        self._keys = _chosen_keys(_named(first), keys)
        self._names = [name + _IMAGE for name in cameras]
        self.observation_space = spaces.Dict({name: _box(_named(first)[name]) for name in (*self._keys, *self._names)})
        low, high = (np.asarray(bound, np.float32) for bound in self._env.action_spec)
        self.action_space = spaces.Box(low, high, dtype=np.float32)

    @property
    def world(self) -> Any:
        """Robosuite's own environment, for experts that look at the scene."""
        return self._env

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """A new start.

        Args:
            seed: Of everything random from here on.
            options: None.
        """
        super().reset(seed=seed)
        if seed is not None:
            self._draws.begin(int(self.np_random.integers(2**32)))
        make_current(self._env)
        with self._draws.taken():
            seen = self._env.reset()
        self._steps = 0
        return self._observation(seen), {"success": bool(self._env._check_success())}

    def step(self, action: NDArray[Any]) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """One control step."""
        make_current(self._env)
        with self._draws.taken():
            seen, reward, _, _ = self._env.step(np.asarray(action, np.float64))
        self._steps += 1
        success = bool(self._env._check_success())
        terminated = success and self._ends
        truncated = self._steps >= self.max_steps and not terminated
        return self._observation(seen), float(reward), terminated, truncated, {"success": success}

    def render(self) -> UInt8 | None:  # type: ignore[override]
        """The view of the first camera ("frontview" without one), uint8 (256, 256, 3); None without render mode."""
        if self.render_mode != "rgb_array":
            return None
        make_current(self._env)
        camera = self._cameras[0] if self._cameras else "frontview"
        seen = self._env.sim.render(camera_name=camera, width=_RENDERED, height=_RENDERED)
        return np.ascontiguousarray(seen[::-1])

    def close(self) -> None:
        """Free the physics and renderers."""
        make_current(self._env)
        self._env.close()

    def state(self) -> NDArray[np.float64]:
        """MuJoCo's time, positions and velocities as robomimic's files keep them, float64 (S,)."""
        return np.array(self._env.sim.get_state().flatten(), np.float64)

    def model_xml(self) -> str:
        """The compiled scene as MJCF, as robomimic's files keep it."""
        return str(self._env.sim.model.get_xml())

    def environment(self) -> dict[str, Any]:
        """What robomimic's files say of their environment (`env_args`): enough to make it again there."""
        plain = {name: value for name, value in self._options.items() if name not in _HERE_ALONE}
        return {
            "env_name": self._task,
            "env_version": robosuite.__version__,
            "type": _ROBOSUITE_TYPE,
            "env_kwargs": plain | {"control_freq": self._env.control_freq},
        }

    def _observation(self, seen: dict[str, Any]) -> dict[str, Any]:
        named = _named(seen)
        values: dict[str, Any] = {key: np.atleast_1d(named[key]).astype(np.float32) for key in self._keys}
        for name in self._names:
            image = np.asarray(named[name], np.uint8)
            values[name] = np.ascontiguousarray(image[::-1] if self._upside_down else image)
        return values


def _require_known(task: str, robots: Sequence[str], settings: dict[str, Any]) -> None:
    if task not in robosuite.ALL_ENVIRONMENTS:
        known = ", ".join(sorted(robosuite.ALL_ENVIRONMENTS))
        raise ConfigError(f"robosuite has no task {task!r}; it has {known}.")
    unknown = [name for name in robots if name not in robosuite.ALL_ROBOTS]
    if unknown:
        known = ", ".join(sorted(robosuite.ALL_ROBOTS))
        raise ConfigError(f"robosuite has no robot {unknown[0]!r}; it has {known}.")
    taken = sorted(set(settings) & set(_OURS))
    if taken:
        raise ConfigError(
            f"{taken[0]} is set here by max_steps, cameras and render_mode; leave it out and give one of these."
        )


def _named(seen: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """Robosuite's observation under robomimic's names: "object" is what it knows of all objects together."""
    named = {key: np.asarray(value) for key, value in seen.items() if key != _OBJECT}
    return named | ({"object": np.asarray(seen[_OBJECT])} if _OBJECT in seen else {})


def _chosen_keys(seen: dict[str, NDArray[Any]], keys: Sequence[str] | None) -> tuple[str, ...]:
    numbers = [key for key, value in seen.items() if value.ndim <= 1]
    if keys is None:
        return tuple(sorted(key for key in numbers if KEYS.fullmatch(key)))
    unknown = [key for key in keys if key not in numbers]
    if unknown or not keys:
        raise ConfigError(f"keys={list(keys)}: expected some of what this task observes: {', '.join(sorted(numbers))}.")
    return tuple(sorted(set(keys)))


def _box(value: NDArray[Any]) -> spaces.Box:
    if value.ndim == 3:
        return spaces.Box(0, 255, value.shape, np.uint8)
    return spaces.Box(-np.inf, np.inf, np.atleast_1d(value).shape, np.float32)


def gym_id(task: str) -> str:
    """Gymnasium id of one of robosuite's tasks, e.g. "robosuite/Lift-v0"."""
    return f"{NAMESPACE}/{task}-v0"


def register_all() -> tuple[str, ...]:
    """Register every task with Gymnasium (again is harmless); returns the ids."""
    tasks = sorted(robosuite.ALL_ENVIRONMENTS)
    for task in tasks:
        if gym_id(task) not in gymnasium.registry:
            gymnasium.register(gym_id(task), entry_point="sim.robosuite.gym_env:RobosuiteEnv", kwargs={"task": task})
    return tuple(gym_id(task) for task in tasks)


register_all()
