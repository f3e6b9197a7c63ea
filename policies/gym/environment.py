"""Gymnasium environments as the agents here see them: a float32 vector and images in, actions in [-1, 1] out."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from policies.gym.observation_spaces import Layout
from policies.gym.wrappers import LAYOUT, ApartFromImages, FiniteSteps, Flattened, UnitActions, require_action_range
from trajectories.errors import ConfigError, MissingDependencyError
from trajectories.types import Float32

FlatEnv = gymnasium.Env[Any, Any]
"""Observations (F,) of any float type, or `Seen` where there are images; actions (A,) in [-1, 1]."""
_LIMITS = ("_max_episode_steps", "max_episode_steps", "max_steps", "horizon", "max_path_length")
"""Gymnasium's `TimeLimit` and D4RL; the twin and MiniGrid; robosuite; MetaWorld."""


@dataclass(frozen=True)
class EnvSettings:
    """Which environment.

    Attributes:
        id: Gymnasium id, e.g. "PointMaze_Medium-v3"; "module:id" imports a module first.
        kwargs: Given to the environment's constructor.
        max_steps: Steps after which an episode is cut; None for the environment's own limit.
        modules: Imported in turn, where installed, until the id is known: whatever registers ids.
    """

    id: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    max_steps: int | None = None
    modules: tuple[str, ...] = ("gymnasium_robotics",)

    def __post_init__(self) -> None:
        if self.max_steps is not None and self.max_steps < 1:
            raise ConfigError(f"max_steps={self.max_steps} leaves no step in an episode; expected at least 1.")

    def to_dict(self) -> dict[str, Any]:
        """What decides how the environment behaves, as plain JSON types."""
        return {"id": self.id, "kwargs": dict(self.kwargs), "max_steps": self.max_steps}


@dataclass(frozen=True)
class Interface:
    """What an agent and data must fit.

    Attributes:
        observations: F, size of the flattened observation.
        low: float32 (A,) lowest action in the environment's own units.
        high: float32 (A,) highest.
        layout: Of the environment's own observations: which numbers are in the vector, which images there are.
    """

    observations: int
    low: Float32
    high: Float32
    layout: Layout = field(default_factory=lambda: Layout((), ()))

    @property
    def actions(self) -> int:
        """A."""
        return len(self.low)

    def scaled(self, actions: Float32) -> Float32:
        """Actions (T, A) in the environment's own units, in [-1, 1]."""
        return (2.0 * (actions - self.low) / (self.high - self.low) - 1.0).astype(np.float32)


def make_env(settings: EnvSettings, images: bool = False) -> FlatEnv:
    """Make an environment, flattened and rescaled.

    Dict and tuple observations are flattened as by `gymnasium.spaces.flatten`, with keys of a Dict in alphabetical
    order however it was written, so that goals of Gymnasium-Robotics come as achieved_goal, desired_goal, observation;
    actions are rescaled linearly when their bounds aren't -1 and 1. A step that isn't finite raises
    `InvalidEpisodeError`.

    Args:
        settings: Which environment.
        images: Whether observations may hold images; they are then `Seen`, with the images apart from the vector.

    Raises:
        ConfigError: There is no such id, its arguments are wrong, its spaces don't fit, or nothing ends its episodes.
        MissingDependencyError: A package that the environment needs isn't installed.
    """
    env = _make(settings)
    _require_time_limit(env, settings)
    layout = Layout.of(env.observation_space, settings.id)
    if layout.images and not images:
        raise ConfigError(
            f"{settings.id} observes images: {', '.join(layout.cameras)}. Give encoder=cnn, resnet or clip to look "
            "through, or choose the state-based variant."
        )
    if layout.images:
        env = ApartFromImages(env, layout)
    elif not isinstance(env.observation_space, spaces.Box) or len(env.observation_space.shape) != 1:
        env = Flattened(env, layout)
    env = FiniteSteps(env, settings.id)
    actions = require_action_range(env.action_space, settings.id)
    return UnitActions(env) if (actions.low != -1.0).any() or (actions.high != 1.0).any() else env


def interface_of(env: FlatEnv) -> Interface:
    """Sizes and action bounds of what `make_env` made: the bounds that whoever recorded data through the id met."""
    shape = env.observation_space.shape
    own = env.env.action_space if isinstance(env, UnitActions) else env.action_space
    if shape is None or not isinstance(own, spaces.Box):
        raise ConfigError(f"{env} isn't flat; use policies.gym.environment.make_env.")
    named = env.has_wrapper_attr(LAYOUT)
    layout = env.get_wrapper_attr(LAYOUT) if named else Layout.of(env.observation_space, str(env))
    return Interface(int(shape[0]), own.low.astype(np.float32), own.high.astype(np.float32), layout)


def _require_time_limit(env: FlatEnv, settings: EnvSettings) -> None:
    """Refuse an environment whose episodes need not end.

    A limit is that of the id, a `TimeLimit` anywhere inside, or a number of steps under one of the names that
    environments use which cut their episodes themselves.
    """
    limits = [env.get_wrapper_attr(name) for name in _LIMITS if env.has_wrapper_attr(name)]
    if not any(isinstance(limit, int | np.integer) and limit > 0 for limit in limits):
        raise ConfigError(
            f"{settings.id} has no time limit, so that an episode might never end; expected one. Give max_steps=1000, "
            "or as many steps as an episode shall have at most."
        )


def _make(settings: EnvSettings) -> FlatEnv:
    module, named, _ = settings.id.partition(":")
    if named and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # as `python -m` finds a person's own module; last, so that it hides nothing
    for registering in settings.modules:
        if settings.id in gymnasium.registry:
            break
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # Farama's packages print news there
                importlib.import_module(registering)
        except ModuleNotFoundError as error:
            if error.name != registering.partition(".")[0]:
                raise
    try:
        return gymnasium.make(
            settings.id, max_episode_steps=settings.max_steps, disable_env_checker=True, **settings.kwargs
        )
    except gymnasium.error.DependencyNotInstalled as error:
        raise MissingDependencyError(f"{settings.id} needs a package that isn't installed: {error}.") from error
    except ModuleNotFoundError as error:
        advice = "Install the package that brings it."
        if named and f"No module named {module.partition('.')[0]!r}" in str(error):
            advice = f"Put {module}.py into this folder, name its folder in PYTHONPATH, or install the package."
        raise MissingDependencyError(f"{settings.id} needs a module that isn't installed: {error}. {advice}") from error
    except gymnasium.error.Error as error:
        close = difflib.get_close_matches(settings.id, list(gymnasium.registry), n=3)
        hint = f"Did you mean {' or '.join(close)}?" if close else "Name the module that registers it: module:id."
        raise ConfigError(f"There is no Gymnasium environment {settings.id!r} ({error}). {hint}") from error
    except TypeError as error:
        raise ConfigError(f"{settings.id} doesn't take the arguments {dict(settings.kwargs)}: {error}.") from error
