"""Wrappers that `make_env` puts around an environment."""

from __future__ import annotations

from functools import partial
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import RescaleAction, TransformObservation

from policies.gym.observation_spaces import Layout, Seen, alphabetical, vector_of
from trajectories.errors import ConfigError, InvalidEpisodeError

LAYOUT = "observation_layout"
"""Attribute of the wrappers that change observations: the `Layout` of what is inside."""
WIDEST_RANGE = 1e9
"""Bounds further apart than this stand for none: they are how some environments write "unbounded"."""


class UnitActions(RescaleAction[Any, Any, Any]):
    """Actions in [-1, 1], rescaled linearly to the bounds of the environment inside."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env, np.float32(-1.0), np.float32(1.0))


class Flattened(TransformObservation[Any, Any, Any]):
    """Observations as vectors (F,), in the order of `gymnasium.spaces.flatten` with keys in alphabetical order.

    Attributes:
        observation_layout: Of the environment's own observations.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], layout: Layout) -> None:
        ordered = alphabetical(env.observation_space)
        super().__init__(env, partial(spaces.flatten, ordered), spaces.flatten_space(ordered))
        self.observation_layout = layout


class ApartFromImages(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Observations as `Seen`: the numbers as a vector, and RGB images; the space is that of the vector.

    Attributes:
        observation_layout: Of the environment's own observations.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], layout: Layout) -> None:
        super().__init__(env)
        self.observation_layout = layout
        self.observation_space = spaces.Box(-np.inf, np.inf, (layout.size,), np.float32)

    def observation(self, observation: Any) -> Seen:
        """Numbers and images of one observation."""
        return Seen(self.observation_layout.vector(observation), self.observation_layout.pictures(observation))


class FiniteSteps(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Passes everything on, as long as every number observed (F,) and every reward is a finite float32."""

    def __init__(self, env: gymnasium.Env[Any, Any], name: str) -> None:
        """Around an environment of vectors.

        Args:
            env: The environment.
            name: Its id, for messages.
        """
        super().__init__(env)
        self._name, self._steps = name, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode.

        Raises:
            InvalidEpisodeError: The observation holds NaN or infinity.
        """
        observation, info = self.env.reset(seed=seed, options=options)
        self._steps = 0
        self._require_finite(observation, "reset")
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """One step.

        Raises:
            InvalidEpisodeError: The observation or the reward holds NaN or infinity.
        """
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._steps += 1
        where = f"step {self._steps} of an episode"
        self._require_finite(observation, where)
        if not np.isfinite(np.float32(reward)):  # type: ignore[arg-type]
            raise InvalidEpisodeError(f"{self._name} gave the reward {reward} at {where}; {_ADVICE}")
        return observation, reward, terminated, truncated, info

    def _require_finite(self, observation: Any, where: str) -> None:
        with np.errstate(over="ignore"):
            seen = np.asarray(vector_of(observation), np.float32)
        bad = np.flatnonzero(~np.isfinite(seen))
        if len(bad):
            raise InvalidEpisodeError(
                f"{self._name} observed {np.asarray(vector_of(observation)).ravel()[bad[0]]} in entry {bad[0]} of "
                f"{seen.size} at {where}; {_ADVICE}"
            )


_ADVICE = (
    "expected finite numbers of float32. Nothing was learned from it, and the last checkpoint is as it was: mend the "
    "environment (often its physics has become unstable), then the same command goes on."
)


def require_action_range(actions: spaces.Space[Any], owner: str) -> spaces.Box:
    """A vector of continuous actions that can be rescaled to [-1, 1] in float32, or an error.

    Raises:
        ConfigError: They are something else, or an entry has no bounds or can't vary.
    """
    if not isinstance(actions, spaces.Box) or len(actions.shape) != 1:
        raise ConfigError(f"{owner} has actions {actions}; expected a vector of continuous ones (a Box).")
    with np.errstate(over="ignore"):
        low, high = actions.low.astype(np.float32), actions.high.astype(np.float32)
        span = high - low
    wide = np.flatnonzero(~(span <= WIDEST_RANGE))
    if len(wide):
        raise ConfigError(
            f"{owner} has actions without bounds: entry {wide[0]} goes from {low[wide[0]]} to {high[wide[0]]}; "
            f"expected finite ones at most {WIDEST_RANGE:.0e} apart to rescale from. Give the environment bounds, for "
            "example by gymnasium.wrappers.TransformAction."
        )
    fixed = np.flatnonzero(span <= 0)
    if len(fixed):
        raise ConfigError(
            f"{owner} has actions of which entry {fixed[0]} can't vary: it goes from {low[fixed[0]]} to "
            f"{high[fixed[0]]}; expected low < high. Leave the entry out of the actions, for example by "
            "gymnasium.wrappers.TransformAction."
        )
    return actions
