"""`Replay`: whole episodes in, n-step transitions drawn at random out; each frame is kept once.

Frames and transitions lie in two rings. A transition refers to its frame and to the frame that it bootstraps
from, both of its own episode: the last transition of a truncated episode bootstraps from that episode's own
last frame, never from what was added next. The oldest whole episodes make room for new ones.

Memory is set aside at the start: for every frame of the capacity its bytes and a transition's columns (69 bytes with 7
actions). Beyond that only the last frame of every episode is used: 2.5 % with episodes of 40 steps.

Images stay uint8 up to the update's device, where scaling and augmentation belong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from policies.common.batch import Batch
from policies.common.ranks import ALONE, Ranks
from policies.replay.choosing import Chosen, gathered
from policies.replay.episode_rows import batch_of, episode_rows
from policies.replay.frame_ring import FrameRing, own_observation
from policies.replay.nstep import label_columns
from policies.replay.replay_checks import check_columns, require_lengths, require_room, required_gain
from policies.replay.replay_file import ReplayContents, load_contents, save_contents, settings_of
from policies.replay.replay_memory import require_memory, row_fields, rows_of, slot_bytes
from policies.replay.ring_buffer import Fields, RingBuffer
from policies.replay.source_weights import SourceWeights, covering
from trajectories.errors import CheckpointError, ConfigError
from trajectories.types import ACTION_SIZE, Bool, Float32, Source, UInt8

_DERIVED = "mass"
"""The column that is computed from the others and not saved."""


class Replay:
    """Episodes in tensors of fixed capacity.

    Adding the same episodes in the same order to an empty replay and restoring `state_dict` gives the same
    draws; `save` and `load` keep the content as well.

    Attributes:
        capacity: Frames held at most.
        gamma: Discount of one step.
        n_step: Steps of each transition, n.
        action_size: A.
        device: Where batches arrive.
        storage_device: Where frames and transitions lie.
        weights: How often a step is drawn, by its source and what it gained.
        ranks: Processes that have the same replay.
    """

    def __init__(
        self,
        capacity: int,
        fields: Fields,
        *,
        gamma: float,
        n_step: int = 1,
        action_size: int = ACTION_SIZE,
        transitions: int | None = None,
        device: torch.device | str = "cpu",
        storage_device: torch.device | str | None = None,
        weights: SourceWeights | None = None,
        seed: int = 0,
        ranks: Ranks = ALONE,
    ) -> None:
        """An empty replay.

        Args:
            capacity: Frames held at most (T + 1 for an episode of T steps); see `replay_memory.frames_within`.
            fields: Observation field -> (shape, dtype) of one frame, e.g. {"state": ((61,), torch.float32)} or
                {"front": ((96, 96, 3), torch.uint8), "wrist": ...}.
            gamma: Discount of one step.
            n_step: Steps of each transition, n.
            action_size: A.
            transitions: Held at most, more than frames where episodes are held under several instructions; None for as
                many as frames.
            device: Where batches arrive: that of the updates.
            storage_device: Where frames are kept and drawn; None keeps them on `device`. "cpu" with a GPU as `device`
                leaves the GPU's memory to the networks: the processor gathers each batch into page-locked memory, which
                is copied without waiting. The frames stay in ordinary memory, since only the processor reads them.
            weights: How often a step is drawn, by its source and what it gained; None draws all alike.
            seed: Of the draws.
            ranks: Processes that have the same replay, of whose frames each keeps its share (`FrameRing`).

        Raises:
            ConfigError: For a capacity, n or gamma out of range, or more memory than there is.
        """
        if capacity < 2 or n_step < 1 or not 0 < gamma <= 1:
            raise ConfigError(
                f"replay of capacity={capacity}, n_step={n_step}, gamma={gamma}: expected at least 2 frames, "
                "at least 1 step and a gamma in (0, 1]"
            )
        self.capacity, self.gamma, self.n_step, self.action_size = capacity, gamma, n_step, action_size
        self.device = torch.device(device)
        self.storage_device = self.device if storage_device is None else torch.device(storage_device)
        self.weights, rows = weights or SourceWeights(), capacity if transitions is None else transitions
        self.ranks = ranks
        require_memory(-(-capacity // ranks.count), rows, fields, action_size, self.weights, self.storage_device)
        self._slot = slot_bytes(fields, action_size, self.weights)
        self._frames = FrameRing(capacity, fields, self.storage_device, ranks)
        self._rows = RingBuffer(rows, row_fields(action_size, self.weights), self.storage_device)
        self._lengths: deque[int] = deque()  # steps of each episode held
        self._copies: deque[int] = deque()  # instructions that each is held under
        self._mass: deque[float] = deque([0.0])  # weights added up to each episode held, and before the first
        self._generator = torch.Generator(device=self.storage_device).manual_seed(seed)

    def __len__(self) -> int:
        """Transitions that can be drawn."""
        return len(self._rows)

    @property
    def episodes(self) -> int:
        """Episodes held."""
        return len(self._lengths)

    @property
    def frames(self) -> int:
        """Frames held."""
        return len(self._frames)

    @property
    def added(self) -> int:
        """Transitions ever added."""
        return self._rows.end

    @property
    def nbytes(self) -> int:
        """Bytes set aside for the whole capacity."""
        return self._frames.nbytes + self._rows.nbytes

    def add_episode(
        self,
        observation: Mapping[str, NDArray[Any] | Tensor],
        executed: Float32,
        rewards: Float32,
        terminated: Bool,
        truncated: Bool,
        mc_returns: Float32,
        source: UInt8,
        instruction: int | Sequence[int],
        imitate: Bool | None = None,
        gain: Float32 | None = None,
        begins: int | None = None,
    ) -> None:
        """Append one whole episode of T steps; the oldest episodes are dropped when there is no room.

        Under several instructions its frames are kept once, its transitions once for each, one after the other.

        Args:
            observation: Field -> (T + 1, ...).
            executed: float32 (T, A) executed actions.
            rewards: float32 (T,).
            terminated: bool (T,) nothing is to be expected after the step (not for time-outs).
            truncated: bool (T,) the episode was cut after the step; only the last entry may be True.
            mc_returns: float32 (T,) Monte-Carlo returns.
            source: uint8 (T,) values of `Source`.
            instruction: Row, or rows, of the agent's instruction table.
            imitate: bool (T,) steps that behaviour cloning copies; by default those not chosen by the policy.
            gain: float32 (T,) progress that each step gained; needed where `weights` count it.
            begins: See `ReplayEpisode`.

        Raises:
            ConfigError: When lengths, shapes, dtypes, fields or gains don't fit, or it is larger than the replay.
        """
        steps = len(executed)
        told = [instruction] if isinstance(instruction, int) else list(instruction)
        require_room(steps, len(told), self.capacity, self._rows.capacity, self._slot)
        first = self._frames.end
        own = own_observation(observation, self._frames.fields, steps, self.ranks, first, begins)
        check_columns(steps, self.action_size, executed, rewards, terminated, truncated, mc_returns, source)
        rows = episode_rows(
            first, executed, rewards, terminated, mc_returns, source, told, imitate,
            required_gain(gain, steps) if self.weights.gains else None, gamma=self.gamma, n_step=self.n_step,
        )  # fmt: skip
        self._make_room(steps + 1, steps * len(told))
        self._frames.append(own, steps + 1)
        self._rows.append(rows)
        self._weigh(steps * len(told))
        self._lengths.append(steps)
        self._copies.append(len(told))

    def relabel(
        self, episode: int, rewards: Float32, terminated: Bool, mc_returns: Float32, *, worth_copying: bool
    ) -> None:
        """Give an episode that is held other labels; its frames, actions and sources stay, and so do the draws.

        Args:
            episode: Its place among the `episodes` held, the oldest is 0.
            rewards: float32 (T,).
            terminated: bool (T,).
            mc_returns: float32 (T,).
            worth_copying: Whether behaviour cloning copies the steps that the policy didn't choose.
        """
        lengths, copies = list(self._lengths), list(self._copies)
        steps, before = lengths[episode], rows_of(lengths[:episode], copies[:episode])
        require_lengths(steps, rewards=rewards, terminated=terminated, mc_returns=mc_returns)
        row, frame = self._rows.first + before["rows"], self._frames.first + before["frames"]
        source = self._rows.take("source", row + torch.arange(steps, device=self.storage_device)).cpu().numpy()
        copied = (source != Source.POLICY) & worth_copying
        labels, ahead = label_columns(rewards, terminated, mc_returns, copied, self.gamma, self.n_step)
        self._rows.write("scalars", row, np.tile(labels, (copies[episode], 1)))
        self._rows.write("next_frame", row, np.tile(frame + np.arange(steps) + ahead, copies[episode]))

    def sample(self, batch_size: int) -> Batch:
        """Draw `batch_size` transitions with replacement, uniformly or by their weights; each rank gets its part.

        Raises:
            ConfigError: When the replay is empty or holds only steps of weight 0, or the parts can't be equal.
        """
        return gathered(self.choose(batch_size))

    def choose(self, batch_size: int) -> Chosen:
        """The same before it is gathered; all ranks choose alike."""
        return [(self, self.draw(batch_size))]

    def draw(self, batch_size: int, further: int = 0) -> Tensor:
        """Running numbers of `batch_size` transitions, int64 (B,) on the storage device; raises as `sample`.

        Args:
            batch_size: B.
            further: So many transitions held elsewhere are drawn from as well, each as often as one of these; their
                numbers go on from `added`. For a replay that draws all alike.
        """
        if not len(self):
            raise ConfigError("nothing can be drawn from an empty replay; add episodes first")
        options: dict[str, Any] = {"generator": self._generator, "device": self.storage_device}
        if self.weights.uniform:
            return torch.randint(self._rows.first, self._rows.end + further, (batch_size,), **options)
        if further:
            raise ConfigError(f"a replay with weights ({self.weights}) can't be drawn from together with another one")
        low, high = self._mass[0], self._mass[-1]
        if not low < high:
            raise ConfigError(
                f"all {len(self)} transitions held are of sources whose weight is 0 ({self.weights}); add others, or "
                "give one of these sources a weight"
            )
        points = low + (high - low) * torch.rand(batch_size, dtype=torch.float64, **options)
        return self._rows.first + covering(points, self._rows.held("mass"))

    def numbers(self, source: Source) -> Tensor:
        """Running numbers of the transitions held whose action that source chose, int64 (N,) on the storage device."""
        held = torch.cat(list(self._rows.held("source")))
        return self._rows.first + torch.nonzero(held == int(source)).squeeze(1)

    def gather(self, index: Tensor, cuts: Sequence[int] | None = None) -> Batch:
        """The transitions of these running numbers, `added - len(self)` ... `added - 1`, on `device`.

        Args:
            index: int64 (B,), the same on all ranks.
            cuts: Places of `index` at which each rank's part begins, and the end; None gives all of it to every rank.
        """
        index = index.to(self.storage_device)
        pairs = list(pairwise(cuts)) if cuts is not None else [(0, len(index))] * self.ranks.count
        ends = [self._rows.take(name, index) for name in ("frame", "next_frame")]
        wanted = [torch.cat([end[start:stop] for end in ends]) for start, stop in pairs]
        mine = index[slice(*pairs[self.ranks.rank])]
        return batch_of(self._rows, mine, self._frames.take(wanted, self.device), self.device)

    def state_dict(self) -> dict[str, Tensor]:
        """What can't be rebuilt from the episodes: the state of the draws, and transitions added so far."""
        return {"generator": self._generator.get_state(), "added": torch.tensor(self.added)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the draws, once the same episodes have been added again.

        Episodes that were added after the state was saved may be there too (they arrived before a crash).

        Raises:
            ConfigError: When fewer transitions have been added than when it was saved, or it was saved on another
                kind of device.
        """
        if int(state["added"]) > self.added:
            raise ConfigError(
                f"the replay held {int(state['added'])} transitions when this state was saved and now only "
                f"{self.added}; add the same episodes, in the same order, before restoring it"
            )
        try:
            self._generator.set_state(state["generator"].cpu())
        except RuntimeError as error:
            raise ConfigError(
                f"the draws were saved on another kind of device than {self.storage_device} ({error}); go on with the "
                "storage device that they were made on, or from a new seed"
            ) from error

    def contents(self, newest: int | None = None) -> ReplayContents:
        """What is held, as views that hold until the next episode is added, and the state of the draws.

        Args:
            newest: Episodes, counted from the newest; None for all.
        """
        skipped = 0 if newest is None else self.episodes - newest
        lengths, copies = (list(column)[skipped:] for column in (self._lengths, self._copies))
        rings, sizes = self._rings(), rows_of(lengths, copies)
        first = {name: ring.end - sizes[name] for name, ring in rings.items()}
        return ReplayContents(
            settings=self.settings,
            weights=asdict(self.weights),
            lengths=lengths,
            copies=copies,
            first=first,
            columns={
                name: {column: ring.held(column, first[name]) for column in ring.fields if column != _DERIVED}
                for name, ring in rings.items()
            },
            mass=self._mass[0 if self.weights.uniform else skipped],
            generator=self._generator.get_state(),
        )

    def restore(self, contents: ReplayContents) -> None:
        """Replace all that is held, and the draws, by the contents of a replay with the same settings.

        Args:
            contents: Its weights may differ from this replay's, which stay, but for whether gains count.

        Raises:
            CheckpointError: An episode of it is too long for this replay.
        """
        for name, ring in self._rings().items():
            ring.restart(contents.first[name])
        self._lengths, self._copies = deque(), deque()
        self._mass = deque([contents.mass if SourceWeights(**contents.weights) == self.weights else 0.0])
        self.extend(contents)

    def extend(self, contents: ReplayContents) -> None:
        """Add the episodes of a replay with the same settings that came after all that is held; the draws become its.

        The oldest episodes make room, as if these had been added one by one.

        Raises:
            CheckpointError: They don't follow on what is held, or one is too long for this replay.
        """
        rings = self._rings()
        at = {name: ring.end for name, ring in rings.items()}
        if at != contents.first:
            raise CheckpointError(f"episodes from {contents.first} on don't follow on those that end at {at}")
        episodes = list(zip(contents.lengths, contents.copies, strict=True))
        sizes = [rows_of([steps], [copies]) for steps, copies in episodes]
        if any(size[name] > ring.capacity for size in sizes for name, ring in rings.items()):
            raise CheckpointError(f"an episode of the {contents.lengths} steps is too long for {self.capacity} frames")
        self._generator = torch.Generator(device=self.storage_device)
        self._generator.set_state(contents.generator)
        for (steps, copies), size in zip(episodes, sizes, strict=True):
            self._make_room(size["frames"], size["rows"])
            for name, ring in rings.items():
                ring.append_part(contents.columns[name], ring.end - contents.first[name], size[name])
            self._lengths.append(steps)
            self._copies.append(copies)
            self._weigh(size["rows"])

    def save(self, path: Path, about: Mapping[str, Any] | None = None) -> None:
        """Write the whole content and the draws into one file; see `policies.replay.replay_file.save_contents`."""
        save_contents(self.contents(), path, about or {})

    def load(self, path: Path, accept: Callable[[Mapping[str, Any]], None] | None = None) -> None:
        """Replace the content and the draws by a file's; nothing changes when that fails.

        Args:
            path: File of `save`, of a replay with the fields, discount, n-step and action size of this one.
            accept: Called with the saver's `about` before anything changes; raises CheckpointError to refuse.

        Raises:
            CheckpointError: See `policies.replay.replay_file.load_contents`.
        """
        self.restore(load_contents(path, self.settings, accept, (self.capacity, self._rows.capacity)))

    def _rings(self) -> dict[str, RingBuffer | FrameRing]:
        return {"frames": self._frames, "rows": self._rows}

    @property
    def settings(self) -> dict[str, Any]:
        """What the content depends on, and the draws (whose state differs from one kind of device to another)."""
        return settings_of(self._frames.fields, self.gamma, self.n_step, self.action_size, self.storage_device.type)

    def _weigh(self, count: int) -> None:
        """Write the sums of all weights up to each of the newest `count` transitions, which are of one episode."""
        if not self.weights.uniform:
            start, names = self._rows.end - count, ["source", "gain"][: 1 + self.weights.gains]
            columns = [torch.cat([view.cpu() for view in self._rows.held(name, start)]).numpy() for name in names]
            sums = self._mass[-1] + np.cumsum(self.weights.of(*columns))
            self._mass.append(float(sums[-1]))
            self._rows.write(_DERIVED, start, sums)

    def _make_room(self, frames: int, rows: int) -> None:
        while self.frames + frames > self.capacity or len(self) + rows > self._rows.capacity:
            steps = self._lengths.popleft()
            self._rows.drop(steps * self._copies.popleft())
            self._frames.drop(steps + 1)
            if not self.weights.uniform:
                self._mass.popleft()
