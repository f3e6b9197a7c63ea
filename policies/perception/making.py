"""Perceptions as pre-training makes them: keypoints learned from labels, or an encoder that is yet to be trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
import torch

from policies.perception.encoders.config import ClipConfig, EncoderConfig
from policies.perception.encoders.encoder import Encoder
from policies.perception.gaps import NO_GAPS, Gaps
from policies.perception.image_perception import ImagePerception
from policies.perception.keypoint_config import KeypointConfig
from policies.perception.keypoint_labels import NEEDED
from policies.perception.keypoint_perception import KeypointPerception, require_camera
from policies.perception.keypoint_training import KeypointTraining
from policies.perception.labelled_training import LabelledTraining
from policies.perception.place_trust import NO_GROUPS, Groups
from policies.perception.scaling import ProprioScaling
from policies.perception.text_table import TextTable
from policies.replay.dataset import keypoint_frames
from trajectories.errors import ConfigError
from trajectories.types import Episode, RobotSpec


def keypoint_training(
    episodes: Iterable[Episode],
    capacity: int,
    text: TextTable,
    spec: RobotSpec,
    camera: str,
    config: KeypointConfig,
    seed: int,
    gaps: Gaps = NO_GAPS,
    groups: Groups = NO_GROUPS,
) -> tuple[KeypointTraining, ProprioScaling]:
    """The training of a keypoint network on every labelled frame, and the scaling of its proprioception.

    Args:
        episodes: Taken one at a time.
        capacity: Upper bound of the number of their frames.
        text: Knows all their instructions.
        spec: The robot.
        camera: Whose images; episodes without any are left out.
        config: Settings.
        seed: Of the training.
        gaps: What some episodes lack.
        groups: Whose places are to be shrunk, see `PlaceTrust`.

    Raises:
        ConfigError: When there is no such camera or no label.
    """
    require_camera(spec, camera)
    frames = keypoint_frames(episodes, capacity, text, camera, spec.proprio)
    scaling = ProprioScaling.fit(frames.proprio)
    inputs = gaps.beside(scaling.apply(frames.proprio), frames.proprio, {camera: frames.images}, spec)
    return KeypointTraining(replace(frames, proprio=inputs), config, seed, groups), scaling


def labelled_training(
    perception: ImagePerception,
    encoder: Encoder,
    episodes: Iterable[Episode],
    capacity: int,
    config: KeypointConfig,
    seed: int,
    alive: Callable[[], None] = lambda: None,
) -> LabelledTraining | None:
    """The training of an encoder of one camera on every frame with a label in hindsight.

    Args:
        perception: Scales proprioception and knows the instructions.
        encoder: Its own.
        episodes: Taken one at a time.
        capacity: Upper bound of the number of their frames.
        config: Settings.
        seed: Of the training.
        alive: Called now and then before the first update.

    Returns:
        None where no frame has a label, or the robot doesn't measure what they are made of.
    """
    (camera,) = encoder.cameras
    if not set(NEEDED) <= set(perception.spec.proprio):
        return None
    frames = keypoint_frames(episodes, capacity, perception.text, camera, perception.spec.proprio)
    if not frames.mask.any():
        return None
    inputs = perception.inputs(frames.proprio, {camera: frames.images})
    return LabelledTraining(encoder, replace(frames, proprio=inputs), config, seed, alive)


def new_image_perception(
    episodes: Iterable[Episode],
    text: TextTable,
    spec: RobotSpec,
    config: EncoderConfig,
    seed: int,
    device: torch.device | str = "cpu",
    gaps: Gaps = NO_GAPS,
    keypoints: KeypointPerception | None = None,
) -> ImagePerception:
    """An encoder with initial weights, and the scaling of proprioception that these episodes ask for.

    Args:
        episodes: Taken one at a time; not read with keypoints, whose scaling is taken.
        text: Knows all their instructions.
        spec: The robot.
        config: Settings.
        seed: Of the initial weights.
        device: Where the encoder lives.
        gaps: What some episodes lack.
        keypoints: Whose states stand in the place of proprioception; None without.

    Raises:
        ConfigError: When there is no such camera, an image is too small, there is no episode, or nothing would ever
            train the encoder.
        MissingDependencyError: Pre-trained weights that it needs are not on this machine.
    """
    if config.frozen and not isinstance(config.network, ClipConfig):
        raise ConfigError(
            f"encoder.frozen=true would leave an encoder of kind {config.kind!r} with its random initial weights. "
            "Set it to false: cloning trains it and then freezes it (pretrain.freeze_encoder), or the critics do "
            "until fine-tuning (finetune.freeze_encoder)."
        )
    scaling = _scaling_of(episodes) if keypoints is None else keypoints.scaling
    cameras: Mapping[str, tuple[int, int]] = dict(spec.cameras)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        entries = len(spec.proprio) if keypoints is None else keypoints.size
        absent = {name: gaps.column_of(name, entries) for name in gaps.cameras}
        encoder = Encoder(config, cameras, entries + gaps.size, text.rows.shape[1], absent)
    return ImagePerception(encoder.to(device), scaling, text, spec, gaps, keypoints)


def _scaling_of(episodes: Iterable[Episode]) -> ProprioScaling:
    proprio = [episode.proprio for episode in episodes]
    if not proprio:
        raise ConfigError("There is no episode to learn from. Run `regrasp collect` first.")
    return ProprioScaling.fit(np.concatenate(proprio))
