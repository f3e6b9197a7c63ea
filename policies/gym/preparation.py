"""What becomes of observations, actions and rewards before anything is learned from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from policies.gym.environment import Interface
from policies.gym.minari_files import is_minari, read_minari
from policies.gym.observation_spaces import Layout, vector_of
from policies.gym.robomimic_files import read_robomimic
from policies.gym.settings import DataSettings
from policies.perception.encoders.encoder import Encoder
from policies.perception.encoders.frames import STATE, episode_fields, frame_fields
from policies.replay.replay import Replay
from policies.replay.replay_settings import ReplaySettings
from policies.replay.ring_buffer import Fields
from trajectories.flat.d4rl import read_d4rl
from trajectories.flat.episode import FlatDataset, FlatEpisode
from trajectories.flat.errors import DatasetError
from trajectories.flat.returns import returns_to_go
from trajectories.formats.robomimic.reader import is_robomimic
from trajectories.types import Float32, Source

_OUTSIDE = 1e-5
"""How far actions may lie outside their bounds, as a share of the range: rounding."""
_SPREAD_FLOOR = 1e-3
_PLAIN = ReplaySettings()
_LARGEST = 10.0  # of a normalised observation, as in Stable-Baselines3's VecNormalize (`clip_obs`)


def read_dataset(path: Path, layout: Layout) -> FlatDataset:
    """The episodes of an HDF5 file in D4RL's or robomimic's style, or of a Minari data set's folder.

    Args:
        path: File or folder.
        layout: Of the environment's observations: a robomimic file holds each of their parts under its own name.

    Raises:
        DatasetError: There is nothing, or it can't be read.
    """
    path = Path(path)
    if path.name == "main_data.hdf5" and is_minari(path.parent):
        path = path.parent
    if is_minari(path):
        return read_minari(path)
    if path.is_dir():
        raise DatasetError(f"{path} is a folder without Minari's metadata.json; give a Minari folder or an HDF5 file.")
    if is_robomimic(path):
        return read_robomimic(path, layout)
    return read_d4rl(path)


def fitted(data: FlatDataset, interface: Interface, env: str) -> FlatDataset:
    """The data set with actions in [-1, 1].

    Args:
        data: As it was read.
        interface: Of the environment.
        env: Its id, for messages.

    Raises:
        DatasetError: Observations or actions have other sizes, or actions lie outside the bounds.
    """
    expected = (interface.observations, interface.actions)
    if data.sizes != expected:
        raise DatasetError(
            f"{data.source} has observations of {data.sizes[0]} and actions of {data.sizes[1]} numbers; {env} has "
            f"{expected[0]} and {expected[1]}. Give the environment that the data were recorded on, with the same "
            "arguments."
        )
    cameras = interface.layout.cameras
    if data.cameras != cameras:
        raise DatasetError(
            f"{data.source} has the images {data.cameras or 'none'}; {env} observes {cameras or 'none'}. Give the "
            "environment that the data were recorded on, with the same arguments."
        )
    slack = _OUTSIDE * (interface.high - interface.low)
    for number, episode in enumerate(data.episodes):
        outside = (episode.actions < interface.low - slack) | (episode.actions > interface.high + slack)
        if outside.any():
            step, entry = np.argwhere(outside)[0]
            raise DatasetError(
                f"{data.source}, episode {number}, step {step}: entry {entry} of the action is "
                f"{episode.actions[step, entry]}; {env} takes {interface.low[entry]} to {interface.high[entry]}. Clip "
                "the actions in the file if the environment did, or give the environment that they were recorded on."
            )
    episodes = (replace(episode, actions=interface.scaled(episode.actions)) for episode in data.episodes)
    return replace(data, episodes=tuple(episodes))


@dataclass(frozen=True)
class Preparation:
    """The treatment of one run.

    Attributes:
        settings: Scale, bias, clip, returns.
        gamma: Discount of the returns.
        mean: float32 (F,) subtracted from observations; zeros unless they are normalised.
        spread: float32 (F,) that they are then divided by.
        encoder: What images are looked at through, together with the numbers; None where there are none.
    """

    settings: DataSettings
    gamma: float
    mean: Float32
    spread: Float32
    encoder: Encoder | None = None

    @staticmethod
    def fit(
        settings: DataSettings, gamma: float, size: int, data: FlatDataset | None, encoder: Encoder | None = None
    ) -> Preparation:
        """The treatment that the settings ask for.

        Args:
            settings: Of the run.
            gamma: The agent's discount.
            size: F.
            data: What observations are normalised by: mean and standard deviation + 0.001 of all observations, as in
                TD3+BC (arXiv 2106.06860, equation 6).
            encoder: Of images.

        Raises:
            DatasetError: Observations shall be normalised and there are no data.
        """
        mean, spread = np.zeros(size, np.float32), np.ones(size, np.float32)
        if settings.normalise:
            if data is None:
                raise DatasetError("Observations can't be normalised without a data set; set data.normalise=false.")
            seen = np.concatenate([episode.observations for episode in data.episodes]).astype(np.float64)
            mean, spread = seen.mean(0).astype(np.float32), (seen.std(0) + _SPREAD_FLOOR).astype(np.float32)
        return Preparation(settings, gamma, mean, spread, encoder)

    def observation(self, seen: NDArray[Any]) -> Float32:
        """Observations (..., F) of any float type as float32 (..., F) for the networks.

        Normalised ones are clipped: a number that hardly varies in the data is divided by next to nothing, and what
        comes of it when the policy goes where the data never were lets a critic without LayerNorm diverge.
        """
        shifted = (np.asarray(seen, np.float32) - self.mean) / self.spread
        return np.clip(shifted, -_LARGEST, _LARGEST) if self.settings.normalise else shifted

    @property
    def trained(self) -> Encoder | None:
        """The encoder if an agent shall train it, for `Agent(encoder=...)`."""
        return None if self.encoder is None or self.encoder.frozen else self.encoder

    @property
    def features(self) -> int:
        """Numbers that the networks see of an observation: F, or those of the encoder."""
        return len(self.mean) if self.encoder is None else self.encoder.size

    def state(self, seen: Any) -> Float32:
        """What the networks see of one observation of the environment, float32 (features,)."""
        numbers = self.observation(vector_of(seen))
        if self.encoder is None:
            return numbers
        images = {name: seen.images[name][None] for name in self.encoder.cameras}
        return self.encoder.encode_episode(images, numbers[None])[0].cpu().numpy()

    def action(self, action: Float32) -> Float32:
        """Actions clipped to +- the limit, float32."""
        limit = np.float32(self.settings.action_limit)
        return np.clip(action, -limit, limit, dtype=np.float32)

    def add(self, replay: Replay, episode: FlatEpisode, source: Source) -> None:
        """Put an episode with actions in [-1, 1] and the environment's own rewards into a replay."""
        steps, settings, numbers = len(episode), self.settings, self.observation(episode.observations)
        encoder = self.encoder
        fields = {STATE: numbers} if encoder is None else episode_fields(encoder, episode.images, numbers)
        rewards = (settings.reward_scale * episode.rewards + settings.reward_bias).astype(np.float32)
        terminated, truncated = np.zeros(steps, np.bool_), np.zeros(steps, np.bool_)
        terminated[-1], truncated[-1] = episode.terminated, not episode.terminated
        replay.add_episode(
            fields,
            self.action(episode.actions),
            rewards,
            terminated,
            truncated,
            returns_to_go(rewards, episode.terminated, self.gamma, settings.tail),
            np.full(steps, source, np.uint8),
            0,
        )

    def offline_replay(
        self, data: FlatDataset, seed: int, device: torch.device | str, settings: ReplaySettings = _PLAIN
    ) -> Replay:
        """A replay of all episodes of a fitted data set."""
        replay = self.empty_replay(data.sizes[1], data.transitions + len(data.episodes), seed, device, settings)
        for episode in data.episodes:
            self.add(replay, episode, Source.EXPERT)
        return replay

    def empty_replay(
        self,
        actions: int,
        capacity: int,
        seed: int,
        device: torch.device | str,
        settings: ReplaySettings = _PLAIN,
    ) -> Replay:
        """A replay of `actions` numbers an action for `capacity` frames."""
        own: Fields = {STATE: ((len(self.mean),), torch.float32)}
        fields = own if self.encoder is None else frame_fields(self.encoder)
        room = max(2, capacity)
        return settings.empty(room, fields, gamma=self.gamma, action_size=actions, device=device, seed=seed)
