"""`LearnedPolicy`: the frozen features and the actor network, as the robot runs them.

A policy folder holds two files: `features.safetensors` (encoder, scaling, instructions) and `actor.safetensors`.
Only the actor changes in fine-tuning; newer weights come as `Weights` and are tried before they act.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from policies.config import NetworkConfig
from policies.config_dict import build, plain
from policies.distribution import act
from policies.features import FeatureExtractor
from policies.networks import Actor
from policies.tensor_file import content_digest, read_tensors, write_tensors
from robot.calibration import CalibrationMark, calibration_warning
from robot.link.codec import weights_digest
from trajectories.errors import CheckpointError
from trajectories.types import ACTION_SIZE, Float32, Observation, Spec, Weights

FILE = "actor.safetensors"
KIND = "regrasp-actor-1"
_CANARIES = 16
logger = logging.getLogger(__name__)


class LearnedPolicy:
    """Implements `robot.interfaces.Policy`.

    Attributes:
        version: Of the loaded weights; 0 as loaded from a folder.
        digest: Identifies encoder, instructions and the weights of version 0; both ends of a link must agree on it.
        features: The frozen part.
        calibration: Of the arm that it was trained on; None without one.
    """

    def __init__(
        self,
        features: FeatureExtractor,
        networks: NetworkConfig,
        tensors: Mapping[str, Tensor],
        seed: int = 0,
        calibration: CalibrationMark | None = None,
    ) -> None:
        """Build the actor from its tensors.

        Args:
            features: The frozen part.
            networks: Sizes of the actor.
            tensors: The actor's state, see `Agent.actor_weights`.
            seed: Of the sampled actions.
            calibration: Of the arm that it was trained on.

        Raises:
            CheckpointError: When the tensors don't fit or aren't finite.
        """
        self.features, self.networks, self.calibration = features, networks, calibration
        self._actor = _actor(features, networks, tensors)
        self._embeddings = torch.from_numpy(features.text.rows)
        self.version = 0
        self.digest = policy_digest(features, networks, tensors)
        self._generator = torch.Generator().manual_seed(seed)
        self._codes = self._encode(self._actor)

    def seed(self, seed: int) -> None:
        """Restart the sampling of actions."""
        self._generator.manual_seed(seed)

    @torch.inference_mode()
    def act(self, observation: Observation, deterministic: bool = False) -> Float32:
        """An action in [-1, 1], float32 (7,).

        Args:
            observation: The newest one.
            deterministic: The most likely action instead of a sample.

        Raises:
            ConfigError: When the instruction is unknown.
        """
        state = torch.from_numpy(self.features.state(observation))[None]
        row = self.features.instruction(observation.instruction)
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
        actor = _actor(self.features, self.networks, {k: torch.from_numpy(a.copy()) for k, a in tensors.items()})
        self._codes = self._encode(actor)
        self._actor, self.version = actor, weights.version

    def save(self, folder: Path) -> None:
        """Write a policy folder with the present weights.

        Raises:
            CheckpointError: The disk refuses.
        """
        save_policy(folder, self.features, self.networks, self._actor.state_dict(), self.calibration)

    def _encode(self, actor: Actor) -> Tensor:
        with torch.inference_mode():
            return actor.encode(self._embeddings)


def policy_digest(features: FeatureExtractor, networks: NetworkConfig, tensors: Mapping[str, Tensor]) -> str:
    """Hex sha256 of a policy: features, sizes and weights."""
    return content_digest(tensors, _header(features, networks))


def save_policy(
    folder: Path,
    features: FeatureExtractor,
    networks: NetworkConfig,
    tensors: Mapping[str, Tensor],
    calibration: CalibrationMark | None = None,
) -> None:
    """Write both files of a policy folder.

    The calibration is no part of the policy's digest: learner and actor need not both know it.

    Raises:
        CheckpointError: The disk refuses.
    """
    features.save(folder)
    carried = None if calibration is None else calibration.to_dict()
    write_tensors(folder / FILE, KIND, tensors, {**_header(features, networks), "calibration": carried})


def load_policy(
    folder: Path, spec: Spec | None = None, seed: int = 0, calibration: CalibrationMark | None = None
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
    features = FeatureExtractor.load(Path(folder), spec)
    tensors, header, _ = read_tensors(Path(folder) / FILE, KIND)
    if header["features"] != features.digest:
        raise CheckpointError(
            f"{folder} holds an actor that was trained with another encoder; copy whole policy folders only."
        )
    saved = CalibrationMark.from_header(header)
    warning = calibration_warning(saved, calibration)
    if warning is not None:
        logger.warning("%s: %s", folder, warning)
    return LearnedPolicy(features, networks_from(header["networks"]), tensors, seed, saved)


def networks_from(raw: Mapping[str, object]) -> NetworkConfig:
    """`NetworkConfig` from its JSON."""
    return cast(NetworkConfig, build(NetworkConfig, raw, "networks"))


def _header(features: FeatureExtractor, networks: NetworkConfig) -> dict[str, object]:
    return {"features": features.digest, "networks": plain(asdict(networks))}


def _actor(features: FeatureExtractor, networks: NetworkConfig, tensors: Mapping[str, Tensor]) -> Actor:
    """A network with these tensors that has passed the canary.

    Raises:
        CheckpointError: They don't fit, or are not finite, or give actions that are not.
    """
    bad = [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    if bad:
        raise CheckpointError(f"The policy's weights are not finite in {', '.join(bad[:3])}; don't use them.")
    width = features.text.rows.shape[1]
    with torch.random.fork_rng(devices=[]):
        actor = Actor(networks, features.size, width, ACTION_SIZE)
    try:
        actor.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise CheckpointError(
            f"The policy's weights don't fit its networks: {error}. Actor and learner must start from one "
            "pre-trained folder."
        ) from error
    actor.eval().requires_grad_(False)
    probe = torch.linspace(-3.0, 3.0, _CANARIES)[:, None].expand(-1, features.size)
    rows = torch.arange(_CANARIES) % len(features.text.instructions)
    with torch.inference_mode():
        mean, log_std = actor(probe, actor.encode(torch.from_numpy(features.text.rows)[rows]))
    if not bool(torch.isfinite(mean).all() and torch.isfinite(log_std).all()):
        raise CheckpointError("The policy's canary pass gave an action that is not finite; don't use these weights.")
    return actor
