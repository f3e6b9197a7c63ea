"""The updates of a stage that learns labels in hindsight: losses written, checkpoints kept, progress told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from policies.common.progress import Progress
from policies.learner.pretrain_config import PretrainConfig
from policies.learner.record import Record


class Labelled(Protocol):
    """A training on labels."""

    @property
    def step(self) -> int:
        """Updates done."""

    def update(self) -> Tensor:
        """One gradient step; its loss."""


def do_updates(
    training: Labelled,
    total: int,
    stage: str,
    config: PretrainConfig,
    record: Record,
    save: Callable[[], None],
    progress: Progress | None,
) -> None:
    """Do the updates that are left of `total`; the checkpoint at the end is the caller's, who measures first.

    Args:
        training: Goes on from its step.
        total: Updates.
        stage: What progress calls it, and metrics what is learned in it.
        config: How often losses are written and checkpoints kept.
        record: Gets losses and times.
        save: Keeps a checkpoint.
        progress: Told of the steps.
    """
    while training.step < total:
        with record.timed("learning"):
            loss = training.update()
        step, last = training.step, training.step == total
        if last or step % config.log_every == 0:
            record.write_losses(step, stage, {"loss": loss})
        if not last and step % config.checkpoint_every == 0:
            save()
        if progress is not None:
            progress(stage, step, total)
