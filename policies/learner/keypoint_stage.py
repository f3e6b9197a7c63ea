"""The first stage of pre-training with keypoints: the network that is then frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from policies.common.kept_checkpoints import KeptCheckpoint, KeptCheckpoints, checkpoint_files
from policies.common.progress import Progress
from policies.learner.labelled_updates import do_updates
from policies.learner.pretrain_config import PretrainConfig
from policies.learner.record import Record
from policies.perception.gaps import NO_GAPS, Gaps
from policies.perception.keypoint_perception import KeypointPerception
from policies.perception.keypoint_training import KeypointTraining, load_net, measures_alike, new_keypoint_net
from policies.perception.keypoints import KeypointNet, KeypointNetConfig
from policies.perception.labelled_frames import KeypointErrors
from policies.perception.making import keypoint_training
from policies.perception.place_trust import NO_GROUPS, Groups, PlaceTrust
from policies.perception.scaling import ProprioScaling
from policies.perception.text_table import TextTable
from trajectories.errors import CheckpointError
from trajectories.types import Episode, RobotSpec

DECIDING = (
    "task", "wordings", "robot", "episodes", "stores", "text", "seed", "held_out", "camera", "keypoints", "began_done",
    "shrink_places",
)  # fmt: skip
"""Of pre-training's identity what decides the network: data, words, camera, its own settings, not the method."""
KEYPOINTS = "keypoints"
"""Stem of the checkpoints' names, and what progress calls the stage."""
_SCALING = ("scaling.mean", "scaling.deviation")


@dataclass(frozen=True)
class TrainedKeypoints:
    """What the stage leaves.

    Attributes:
        perception: Frozen.
        errors: On the stage's own held-out episodes.
        trust: Name of a group of instructions -> how far its places are believed, of those that were measured.
        seconds: Spent over all starts.
    """

    perception: KeypointPerception
    errors: KeypointErrors
    trust: dict[str, float]
    seconds: float


class KeypointStage:
    """Trains the keypoint network, resumable bit for bit.

    A checkpoint with errors is that of the whole training: the stage then reads no episode.
    """

    def __init__(
        self,
        text: TextTable,
        spec: RobotSpec,
        config: PretrainConfig,
        seed: int,
        checkpoints: KeptCheckpoints,
        gaps: Gaps = NO_GAPS,
        groups: Groups = NO_GROUPS,
    ) -> None:
        """Prepare; `checkpoints` are the network's own, `gaps` what episodes lack, `groups` whose places shrink."""
        self._text, self._spec, self._config, self._seed = text, spec, config, seed
        self._checkpoints, self._gaps, self._groups = checkpoints, gaps, groups

    def run(
        self,
        episodes: Callable[[], Iterable[Episode]],
        capacity: int,
        metrics: Path,
        notify: Callable[[str], None],
        progress: Progress | None,
    ) -> TrainedKeypoints:
        """Do the updates that are left, and keep a checkpoint at the end.

        Args:
            episodes: Gives what to train on, taken one at a time; not called when nothing is left.
            capacity: Upper bound of the number of their frames.
            metrics: Folder of the losses.
            notify: Told where the training goes on.
            progress: Told of the steps.

        Raises:
            ConfigError: When there is no such camera or no label.
            CheckpointError: The checkpoint is damaged or of other settings.
        """
        saved = self._checkpoints.newest()
        if saved is not None and saved.header["errors"] is not None:
            return self.finished(saved)
        record = Record.after(metrics, saved)
        try:
            with record.timed("learning"):
                camera, settings = self._config.camera, self._config.keypoints
                training, scaling = keypoint_training(
                    episodes(), capacity, self._text, self._spec, camera, settings, self._seed, self._gaps,
                    self._groups,
                )  # fmt: skip
            if saved is not None:
                training.load_state(saved.tensors, saved.header["training"])
                notify(f"The keypoint network goes on after update {training.step} of {settings.steps}.")
            errors, trust = self._train(training, scaling, record, progress)
        finally:
            record.close()
        return self._trained(training.net, scaling, trust, errors, sum(record.seconds.values()))

    def take_over(self, others: Iterable[KeptCheckpoints], notify: Callable[[str], None]) -> None:
        """Keep a copy of the same network where one of `others` holds it whole and nothing of this stage is there."""
        if checkpoint_files(self._checkpoints.folder, KEYPOINTS):
            return
        for other in others:
            try:
                saved = other.newest()
                whole = saved is not None and saved.header["errors"] is not None and self.finished(saved) is not None
            except CheckpointError:
                continue  # of other settings, damaged, or of another version's network
            if saved is not None and whole and (not self._groups or measures_alike(saved.header["training"])):
                self._checkpoints.save(saved.number, saved.tensors, saved.header, last=True)
                notify(f"The keypoint network is that of {other.folder.parent}: data and settings are the same.")
                return

    def _trained(
        self, net: KeypointNet, scaling: ProprioScaling, trust: PlaceTrust, errors: KeypointErrors, seconds: float
    ) -> TrainedKeypoints:
        perception = KeypointPerception(net, scaling, self._text, self._spec, self._config.camera, self._gaps, trust)
        return TrainedKeypoints(perception, errors, {name: round(x, 3) for name, x in trust.measured.items()}, seconds)

    def _train(
        self, training: KeypointTraining, scaling: ProprioScaling, record: Record, progress: Progress | None
    ) -> tuple[KeypointErrors, PlaceTrust]:
        total = self._config.keypoints.steps
        save = partial(self._save, training, scaling, record)
        do_updates(training, total, KEYPOINTS, self._config, record, save, progress)
        with record.timed("evaluating"):
            trust = training.place_trust()
            errors = training.errors(trust)
        record.write(total, {f"held_out/{name}": value for name, value in errors.to_dict().items()})
        self._save(training, scaling, record, (errors, trust))
        return errors, trust

    def _save(
        self,
        training: KeypointTraining,
        scaling: ProprioScaling,
        record: Record,
        measured: tuple[KeypointErrors, PlaceTrust] | None = None,
    ) -> None:
        record.flush()
        tensors, header = training.state()
        scales = (torch.from_numpy(scaling.mean), torch.from_numpy(scaling.deviation))
        tensors |= dict(zip(_SCALING, scales, strict=True))
        if measured is not None:
            tensors |= measured[1].tensors()
        whole = {
            "training": header,
            "errors": None if measured is None else measured[0].to_dict(),
            "trust": {} if measured is None else measured[1].measured,
            "seconds": record.seconds,
        }
        self._checkpoints.save(training.step, tensors, whole, last=measured is not None)

    def finished(self, saved: KeptCheckpoint) -> TrainedKeypoints:
        """What a checkpoint with errors holds."""
        net = new_keypoint_net(KeypointNetConfig.from_dict(saved.header["training"]["net"]), self._seed)
        load_net(net, saved.tensors)
        mean, deviation = (saved.tensors[name].numpy() for name in _SCALING)
        trust = PlaceTrust.of(saved.tensors, len(self._text.instructions))
        trust = replace(trust, measured=saved.header.get("trust", {}))
        errors = KeypointErrors(**saved.header["errors"])
        return self._trained(net, ProprioScaling(mean, deviation), trust, errors, sum(saved.header["seconds"].values()))
