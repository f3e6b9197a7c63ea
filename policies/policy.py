"""`LearnedPolicy`: the perception and the actor network, as the robot runs them.

A policy folder holds two files: `features.safetensors` (perception: encoder, scaling, instructions) and
`actor.safetensors`. Newer weights come as `Weights`, of the actor and, where fine-tuning goes on training it, of the
image encoder; they are tried before they act.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from policies.agent.agent_state import ENCODER
from policies.agent.config import NetworkConfig
from policies.agent.distribution import act
from policies.agent.networks import Actor
from policies.common.tensor_file import content_digest, read_tensors, write_tensors
from policies.perception.common import FILE as FEATURES
from policies.perception.common import part_of
from policies.perception.loading import load_perception
from policies.perception.protocol import Perception
from policies.perception.text_table import EncodeText
from robot.control.calibration import CalibrationMark, calibration_warning
from robot.link.codec import weights_digest
from trajectories.errors import CheckpointError
from trajectories.settings import build
from trajectories.types import ACTION_SIZE, Float32, Observation, RobotSpec, Weights, digest_of

FILE = "actor.safetensors"
FILES = (FEATURES, FILE)
"""All that `load_policy` reads of a folder."""
KIND = "regrasp-actor-1"
_CANARIES = 16
logger = logging.getLogger(__name__)


class LearnedPolicy:
    """Implements `robot.interfaces.Policy`.

    Attributes:
        version: Of the loaded weights; 0 as loaded from a folder.
        digest: Identifies perception and the weights of version 0; both ends of a link must agree on it.
        perception: How it sees.
        calibration: Of the arm that it was trained on; None without one.
    """

    def __init__(
        self,
        perception: Perception,
        networks: NetworkConfig,
        tensors: Mapping[str, Tensor],
        seed: int = 0,
        calibration: CalibrationMark | None = None,
    ) -> None:
        """Build the actor from its tensors.

        Args:
            perception: How it sees.
            networks: Sizes of the actor.
            tensors: From `Agent.actor_weights`; an encoder's among them replace the perception's.
            seed: Of the sampled actions.
            calibration: Of the arm that it was trained on.

        Raises:
            CheckpointError: When the tensors don't fit or aren't finite.
        """
        self.perception, actor = _renewed(perception, tensors)
        self.networks, self.calibration = networks, calibration
        self._actor = _actor(self.perception, networks, actor)
        self._embeddings = torch.from_numpy(perception.text.rows)
        self.version = 0
        self.digest = policy_digest(self.perception, networks, actor)
        self._generator = torch.Generator().manual_seed(seed)
        self._codes = self._encode(self._actor)

    @property
    def instructions(self) -> tuple[str, ...]:
        """All that it understands."""
        return self.perception.text.instructions

    @property
    def parts(self) -> dict[str, str]:
        """What `digest` stands for, part -> digest or word, so that two ends of a link can name what differs."""
        text, perception = self.perception.text, self.perception
        return {
            "encoder": perception.kind,
            "text tower": text.source[:12],
            "instructions": digest_of({"instructions": text.instructions})[:12],
            "perception": perception.digest[:12],
            "networks": digest_of(self.networks.to_dict())[:12],
        }

    def seed(self, seed: int) -> None:
        """Restart the sampling of actions."""
        self._generator.manual_seed(seed)

    def another(self) -> LearnedPolicy:
        """The same policy with the same weights in memory, whose actions are drawn independently of this one's."""
        other = copy.copy(self)
        other._generator = torch.Generator().manual_seed(0)
        return other

    def read_also(self, instructions: Sequence[str], encode: EncodeText, source: str) -> None:
        """Understand instructions that training had not, through the text tower of training; the digest stays.

        Args:
            instructions: Any sentences.
            encode: The text tower.
            source: Digest of its weights.

        Raises:
            ConfigError: The text tower is another one.
        """
        text = self.perception.text.extended(instructions, encode, source)
        self.perception = self.perception.with_text(text)
        self._embeddings = torch.from_numpy(text.rows)
        self._codes = self._encode(self._actor)

    @torch.inference_mode()
    def act(self, observation: Observation, deterministic: bool = False) -> Float32:
        """An action in [-1, 1], float32 (7,).

        Args:
            observation: The newest one.
            deterministic: The most likely action instead of a sample.

        Raises:
            ConfigError: When the instruction is unknown.
        """
        state = torch.from_numpy(self.perception.state(observation))[None]
        row = self.perception.instruction(observation.instruction)
        mean, log_std = self._actor(state, self._codes[row : row + 1])
        noise = None if deterministic else torch.randn(mean.shape, generator=self._generator)
        return act(self.networks.policy, mean, log_std, noise)[0].numpy()

    def load(self, weights: Weights) -> None:
        """Swap in newer weights; the old ones stay when these are refused.

        Raises:
            CheckpointError: When the digest is wrong, a tensor is missing, of another shape or not finite, or the
                canary pass gives an action that is not.
        """
        tensors = {name: np.ascontiguousarray(array) for name, array in weights.tensors.items()}
        if weights_digest(tensors) != weights.sha256:
            raise CheckpointError(
                f"Weights of version {weights.version} don't match their digest {weights.sha256[:12]}; the old "
                "weights stay in use."
            )
        perception, of_actor = _renewed(self.perception, {k: torch.from_numpy(a.copy()) for k, a in tensors.items()})
        actor = _actor(perception, self.networks, of_actor)
        self._codes = self._encode(actor)
        self.perception, self._actor, self.version = perception, actor, weights.version

    def save(self, folder: Path) -> None:
        """Write a policy folder with the present weights.

        Raises:
            CheckpointError: The disk refuses.
        """
        save_policy(folder, self.perception, self.networks, self._actor.state_dict(), self.calibration)

    def _encode(self, actor: Actor) -> Tensor:
        with torch.inference_mode():
            return actor.encode(self._embeddings)


def policy_digest(perception: Perception, networks: NetworkConfig, tensors: Mapping[str, Tensor]) -> str:
    """Hex sha256 of a policy: perception, sizes and the actor's weights."""
    return content_digest(tensors, _header(perception, networks))


def save_policy(
    folder: Path,
    perception: Perception,
    networks: NetworkConfig,
    tensors: Mapping[str, Tensor],
    calibration: CalibrationMark | None = None,
) -> Perception:
    """Write both files of a policy folder.

    The calibration is no part of the policy's digest: learner and actor need not both know it.

    Args:
        folder: Created if needed.
        perception: How the policy sees.
        networks: Sizes of the actor.
        tensors: From `Agent.actor_weights`; an encoder's among them replace the perception's.
        calibration: Of the arm; None without one.

    Returns:
        The perception as it was written.

    Raises:
        CheckpointError: The disk refuses, or the encoder's weights don't work.
    """
    perception, actor = _renewed(perception, tensors)
    perception.save(folder)
    carried = None if calibration is None else calibration.to_dict()
    write_tensors(folder / FILE, KIND, actor, {**_header(perception, networks), "calibration": carried})
    return perception


def load_policy(
    folder: Path, spec: RobotSpec | None = None, seed: int = 0, calibration: CalibrationMark | None = None
) -> LearnedPolicy:
    """Read a policy folder; warns when the arm was calibrated anew since.

    Args:
        folder: Written by `save_policy`.
        spec: The robot at hand; None takes the saved one.
        seed: Of the sampled actions.
        calibration: The arm's present one; None if it has none (the twin).

    Raises:
        CheckpointError: A file is missing, damaged or belongs to another policy.
        SpecMismatchError: It was made for another robot.
    """
    perception = load_perception(Path(folder), spec)
    tensors, header, _ = read_tensors(Path(folder) / FILE, KIND)
    if header["features"] != perception.digest:
        raise CheckpointError(
            f"{folder} holds an actor that was trained with another encoder; copy whole policy folders only."
        )
    saved = CalibrationMark.from_header(header)
    warning = calibration_warning(saved, calibration)
    if warning is not None:
        logger.warning("%s: %s", folder, warning)
    return LearnedPolicy(perception, networks_from(header["networks"]), tensors, seed, saved)


def networks_from(raw: Mapping[str, object]) -> NetworkConfig:
    """`NetworkConfig` from its JSON."""
    return cast(NetworkConfig, build(NetworkConfig, raw, "networks"))


def _header(perception: Perception, networks: NetworkConfig) -> dict[str, object]:
    return {"features": perception.digest, "networks": networks.to_dict()}


def _renewed(perception: Perception, tensors: Mapping[str, Tensor]) -> tuple[Perception, dict[str, Tensor]]:
    """The perception with the encoder that is among these tensors, if there is one, and the actor's tensors.

    Raises:
        CheckpointError: Some are not finite, or the encoder's don't fit or don't work.
    """
    bad = [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    if bad:
        raise CheckpointError(f"The policy's weights are not finite in {', '.join(bad[:3])}; don't use them.")
    actor = {name: tensor for name, tensor in tensors.items() if not name.startswith(ENCODER)}
    encoder = part_of(tensors, ENCODER)
    return (perception.with_encoder(encoder) if encoder else perception), actor


def _actor(perception: Perception, networks: NetworkConfig, tensors: Mapping[str, Tensor]) -> Actor:
    """A network with these tensors that has passed the canary.

    Raises:
        CheckpointError: They don't fit, or give actions that are not finite.
    """
    width = perception.text.rows.shape[1]
    with torch.random.fork_rng(devices=[]):
        actor = Actor(networks, perception.size, width, ACTION_SIZE)
    try:
        actor.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise CheckpointError(
            f"The policy's weights don't fit its networks: {error}. Actor and learner must start from one "
            "pre-trained folder."
        ) from error
    actor.eval().requires_grad_(False)
    probe = torch.linspace(-3.0, 3.0, _CANARIES)[:, None].expand(-1, perception.size)
    rows = torch.arange(_CANARIES) % len(perception.text.instructions)
    with torch.inference_mode():
        mean, log_std = actor(probe, actor.encode(torch.from_numpy(perception.text.rows)[rows]))
    if not bool(torch.isfinite(mean).all() and torch.isfinite(log_std).all()):
        raise CheckpointError("The policy's canary pass gave an action that is not finite; don't use these weights.")
    return actor
