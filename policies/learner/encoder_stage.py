"""The first stage of pre-training with an image encoder that is then cloned with: labels in hindsight."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from policies.common.kept_checkpoints import KeptCheckpoint, KeptCheckpoints
from policies.common.progress import Progress
from policies.learner.labelled_updates import do_updates
from policies.learner.pretrain_config import PretrainConfig
from policies.learner.record import Record
from policies.perception.image_perception import ImagePerception
from policies.perception.labelled_frames import KeypointErrors
from policies.perception.labelled_training import LabelledTraining, encoder_of
from policies.perception.making import labelled_training
from trajectories.types import Episode

ENCODER = "encoder"
"""Stem of the checkpoints' names, and what progress calls the stage."""


@dataclass(frozen=True)
class TrainedEncoder:
    """What the stage leaves.

    Attributes:
        perception: With the encoder as the labels have trained it.
        errors: On the stage's own held-out episodes.
        seconds: Spent over all starts.
    """

    perception: ImagePerception
    errors: KeypointErrors
    seconds: float


class EncoderStage:
    """Trains an image encoder of one camera on labels, resumable bit for bit; see `KeypointStage`."""

    def __init__(
        self, perception: ImagePerception, config: PretrainConfig, seed: int, checkpoints: KeptCheckpoints
    ) -> None:
        """Prepare; `perception` has the encoder with its initial weights, `checkpoints` are the stage's own."""
        self._perception, self._config, self._seed, self._checkpoints = perception, config, seed, checkpoints

    def run(
        self,
        episodes: Callable[[], Iterable[Episode]],
        capacity: int,
        metrics: Path,
        notify: Callable[[str], None],
        progress: Progress | None,
    ) -> TrainedEncoder | None:
        """Do the updates that are left, and keep a checkpoint at the end; arguments and errors as `KeypointStage.run`.

        Returns:
            None where no episode shows where a gripper closes on something: there is nothing to learn here.
        """
        saved = self._checkpoints.newest()
        if saved is not None and saved.header["errors"] is not None:
            return self.finished(saved)
        record, settings = Record.after(metrics, saved), self._config.keypoints
        try:
            with record.timed("learning"):
                encoder = self._perception.encoder.copied()
                done = 0 if saved is None else saved.number
                alive = _unheard if progress is None else partial(progress, ENCODER, done, settings.steps)
                training = labelled_training(
                    self._perception, encoder, episodes(), capacity, settings, self._seed, alive
                )
            if training is None:
                notify("No episode shows where a gripper closes on something: the encoder learns from cloning alone.")
                return None
            if saved is not None:
                training.load_state(saved.tensors, saved.header["training"])
                notify(f"The encoder goes on after update {training.step} of {settings.steps}.")
            save = partial(self._save, training, record)
            do_updates(training, settings.steps, ENCODER, self._config, record, save, progress)
            with record.timed("evaluating"):
                errors = training.errors()
            record.write(settings.steps, {f"held_out/{name}": value for name, value in errors.to_dict().items()})
            self._save(training, record, errors)
        finally:
            record.close()
        perception = self._perception.with_encoder(training.encoder.trained_tensors())
        return TrainedEncoder(perception, errors, sum(record.seconds.values()))

    def finished(self, saved: KeptCheckpoint) -> TrainedEncoder:
        """What a checkpoint with errors holds."""
        perception = self._perception.with_encoder(encoder_of(saved.tensors))
        return TrainedEncoder(
            perception, KeypointErrors(**saved.header["errors"]), sum(saved.header["seconds"].values())
        )

    def _save(self, training: LabelledTraining, record: Record, errors: KeypointErrors | None = None) -> None:
        record.flush()
        tensors, header = training.state()
        whole: dict[str, Any] = {
            "training": header,
            "errors": None if errors is None else errors.to_dict(),
            "seconds": record.seconds,
        }
        self._checkpoints.save(training.step, tensors, whole, last=errors is not None)


def _unheard() -> None:
    """Nobody waits."""
