"""`Replay`: whole episodes in, uniformly drawn n-step transitions out; each frame is kept once.

Frames and transitions lie in two rings. A transition refers to its frame and to the frame that it bootstraps
from, both of its own episode: the last transition of a truncated episode bootstraps from that episode's own
last frame, never from what was added next. The oldest whole episodes make room for new ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from policies.batch import Batch
from policies.nstep import n_step
from trajectories.errors import ConfigError
from trajectories.types import ACTION_SIZE, Bool, Float32, Source, UInt8

Fields = Mapping[str, tuple[tuple[int, ...], torch.dtype]]


class Replay:
    """Episodes in tensors of fixed capacity.

    Adding the same episodes in the same order to an empty replay and restoring `state_dict` gives the same
    draws.
    """

    def __init__(
        self,
        capacity: int,
        fields: Fields,
        *,
        gamma: float,
        n_step: int = 1,
        action_size: int = ACTION_SIZE,
        device: torch.device | str = "cpu",
        seed: int = 0,
    ) -> None:
        """An empty replay.

        Args:
            capacity: Frames held at most (T + 1 for an episode of T steps).
            fields: Observation field -> (shape, dtype) of one frame, e.g. {"state": ((61,), torch.float32)}.
            gamma: Discount of one step.
            n_step: Steps of each transition, n.
            action_size: A.
            device: Where the tensors live and batches are drawn.
            seed: Of the draws.

        Raises:
            ConfigError: For a capacity, n or gamma out of range.
        """
        if capacity < 2 or n_step < 1 or not 0 < gamma <= 1:
            raise ConfigError(
                f"replay of capacity={capacity}, n_step={n_step}, gamma={gamma}: expected at least 2 frames, "
                "at least 1 step and a gamma in (0, 1]"
            )
        self.capacity, self.gamma, self.n_step, self.action_size = capacity, gamma, n_step, action_size
        self.device = torch.device(device)
        self._fields = dict(fields)
        self._frames = {name: self._empty(dtype, *shape) for name, (shape, dtype) in fields.items()}
        self._frame = self._empty(torch.int64)
        self._next_frame = self._empty(torch.int64)
        self._instruction = self._empty(torch.int64)
        self._action = self._empty(torch.float32, action_size)
        self._scalars = self._empty(torch.float32, 4)  # reward, discount, mc_return, imitate
        self._source = self._empty(torch.uint8)
        self._lengths: deque[int] = deque()
        self._first = self._end = 0  # transitions ever dropped and ever added
        self._first_frame = self._end_frame = 0
        self._generator = torch.Generator(device=self.device).manual_seed(seed)

    def _empty(self, dtype: torch.dtype, *shape: int) -> Tensor:
        return torch.empty((self.capacity, *shape), dtype=dtype, device=self.device)

    def __len__(self) -> int:
        """Transitions that can be drawn."""
        return self._end - self._first

    @property
    def episodes(self) -> int:
        """Episodes held."""
        return len(self._lengths)

    @property
    def frames(self) -> int:
        """Frames held."""
        return self._end_frame - self._first_frame

    @property
    def added(self) -> int:
        """Transitions ever added."""
        return self._end

    def add_episode(
        self,
        observation: Mapping[str, NDArray[Any] | Tensor],
        executed: Float32,
        rewards: Float32,
        terminated: Bool,
        truncated: Bool,
        mc_returns: Float32,
        source: UInt8,
        instruction: int,
        imitate: Bool | None = None,
    ) -> None:
        """Append one whole episode of T steps; the oldest episodes are dropped when there is no room.

        Args:
            observation: Field -> (T + 1, ...).
            executed: float32 (T, A) executed actions.
            rewards: float32 (T,).
            terminated: bool (T,) nothing is to be expected after the step (not for time-outs).
            truncated: bool (T,) the episode was cut after the step; only the last entry may be True.
            mc_returns: float32 (T,) Monte-Carlo returns.
            source: uint8 (T,) values of `Source`.
            instruction: Row of the agent's instruction table.
            imitate: bool (T,) steps that behaviour cloning copies; by default those not chosen by the policy.

        Raises:
            ConfigError: When lengths, shapes or fields don't fit, or the episode is larger than the replay.
        """
        steps = len(executed)
        self._check(observation, executed, rewards, terminated, truncated, mc_returns, source)
        self._make_room(steps + 1)
        copied = np.asarray(source) != Source.POLICY if imitate is None else imitate
        summed, discount, ahead = n_step(rewards, terminated, self.gamma, self.n_step)
        frames = torch.arange(self._end_frame, self._end_frame + steps + 1, device=self.device) % self.capacity
        rows = torch.arange(self._end, self._end + steps, device=self.device) % self.capacity
        for name, values in observation.items():
            self._frames[name][frames] = _tensor(values).to(self.device)
        self._frame[rows] = frames[:-1]
        self._next_frame[rows] = frames[torch.from_numpy(np.arange(steps) + ahead).to(self.device)]
        self._instruction[rows] = instruction
        self._action[rows] = _tensor(executed).to(self.device)
        scalars = np.stack([summed, discount, mc_returns, copied], axis=1).astype(np.float32)
        self._scalars[rows] = torch.from_numpy(scalars).to(self.device)
        self._source[rows] = _tensor(source).to(self.device)
        self._lengths.append(steps)
        self._end += steps
        self._end_frame += steps + 1

    def sample(self, batch_size: int) -> Batch:
        """Draw `batch_size` transitions uniformly with replacement.

        Raises:
            ConfigError: When the replay is empty.
        """
        if not len(self):
            raise ConfigError("nothing can be drawn from an empty replay; add episodes first")
        drawn = torch.randint(self._first, self._end, (batch_size,), generator=self._generator, device=self.device)
        return self.gather(drawn)

    def gather(self, index: Tensor) -> Batch:
        """The transitions of these running numbers, `added - len(self)` ... `added - 1`."""
        rows = index % self.capacity
        frame, next_frame = self._frame[rows], self._next_frame[rows]
        scalars = self._scalars[rows]
        return Batch(
            observation={name: tensor[frame] for name, tensor in self._frames.items()},
            next_observation={name: tensor[next_frame] for name, tensor in self._frames.items()},
            instruction=self._instruction[rows],
            action=self._action[rows],
            reward=scalars[:, 0],
            discount=scalars[:, 1],
            mc_return=scalars[:, 2],
            imitate=scalars[:, 3],
            source=self._source[rows],
        )

    def state_dict(self) -> dict[str, Tensor]:
        """What can't be rebuilt from the episodes: the state of the draws, and transitions added so far."""
        return {"generator": self._generator.get_state(), "added": torch.tensor(self._end)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the draws, once the same episodes have been added again.

        Episodes that were added after the state was saved may be there too (they arrived before a crash).

        Raises:
            ConfigError: When fewer transitions have been added than when it was saved.
        """
        if int(state["added"]) > self._end:
            raise ConfigError(
                f"the replay held {int(state['added'])} transitions when this state was saved and now only "
                f"{self._end}; add the same episodes, in the same order, before restoring it"
            )
        self._generator.set_state(state["generator"].cpu())

    def _make_room(self, frames: int) -> None:
        while self.frames + frames > self.capacity:
            steps = self._lengths.popleft()
            self._first += steps
            self._first_frame += steps + 1

    def _check(
        self,
        observation: Mapping[str, NDArray[Any] | Tensor],
        executed: Float32,
        rewards: Float32,
        terminated: Bool,
        truncated: Bool,
        mc_returns: Float32,
        source: UInt8,
    ) -> None:
        steps = len(executed)
        if not 1 <= steps < self.capacity:
            raise ConfigError(f"an episode of {steps} steps doesn't fit a replay of {self.capacity} frames")
        if set(observation) != set(self._fields):
            raise ConfigError(f"fields {sorted(observation)} were added; expected {sorted(self._fields)}")
        for name, (shape, _) in self._fields.items():
            if tuple(observation[name].shape) != (steps + 1, *shape):
                raise ConfigError(
                    f"field {name!r} has shape {tuple(observation[name].shape)}; "
                    f"expected {(steps + 1, *shape)}, one frame more than there are actions"
                )
        if executed.shape != (steps, self.action_size):
            raise ConfigError(f"actions have shape {executed.shape}; expected {(steps, self.action_size)}")
        columns = {
            "rewards": rewards, "terminated": terminated, "truncated": truncated, "mc_returns": mc_returns,
            "source": source,
        }  # fmt: skip
        for name, column in columns.items():
            if column.shape != (steps,):
                raise ConfigError(f"{name} has shape {column.shape}; expected {(steps,)}")
        if truncated[:-1].any():
            raise ConfigError("truncated is set before the last step; split what follows into its own episode")


def _tensor(values: NDArray[Any] | Tensor) -> Tensor:
    """A tensor of the values; arrays that can't be written to (read from a store) are copied."""
    return values if isinstance(values, Tensor) else torch.from_numpy(np.require(values, requirements=["W", "C"]))
