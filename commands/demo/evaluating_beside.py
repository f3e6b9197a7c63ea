"""Evaluations of a demo beside its fine-tuning, on the cores that actor and learner leave."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from commands.evaluate.evaluate import evaluate_in_twin, plan_of
from drivers.parent_link import die_with_parent
from factory.run_folders import finetune_folder, pretrained_folder, snapshots

ACTOR_AND_LEARNER = 2
LOG = "evaluations.log"
_POLL_S = 1.0
_NICENESS = 10


def spare_workers(config: DictConfig) -> int:
    """Processes that may evaluate while actor and learner compute; 0 where there are no cores for that."""
    return max(0, int(config.workers) - ACTOR_AND_LEARNER)


@contextmanager
def evaluating_beside(config: DictConfig) -> Iterator[None]:
    """Evaluate, while the context lasts, the policy before fine-tuning and the snapshots but for the newest one.

    The stages that evaluate come afterwards as always, and find what is done. What is printed goes to `evaluations.log`
    of the folder of fine-tuning; an evaluation that was not finished goes on then.
    """
    workers = spare_workers(config)
    if not workers:
        yield
        return
    log = finetune_folder(config) / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    print(f"   evaluating beside it, workers={workers}: {log}", flush=True)
    settings: dict[str, Any] = {**OmegaConf.to_container(config, resolve=True), "workers": workers}  # type: ignore[dict-item]
    process = multiprocessing.get_context("spawn").Process(target=_evaluate_all, args=(settings, str(log), os.getpid()))
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def evaluate_on_the_way(config: DictConfig) -> None:
    """Evaluate the snapshots but for the newest one, with the fewer episodes of a curve."""
    for _, folder in snapshots(finetune_folder(config))[:-1]:
        evaluate_in_twin(config, plan_of(config, folder, int(config.evaluate.curve_episodes), ("stochastic",), 0))


def _evaluate_all(settings: dict[str, Any], log: str, parent: int) -> None:
    """Until it is ended: first what fine-tuning begins with, then each snapshot that has a newer one."""
    die_with_parent(parent)
    os.nice(_NICENESS)
    config = OmegaConf.create(settings)
    with Path(log).open("a", encoding="utf-8", buffering=1) as file, redirect_stdout(file), redirect_stderr(file):
        evaluate_in_twin(config, plan_of(config, pretrained_folder(config)))
        seen = 1
        while True:
            if len(snapshots(finetune_folder(config))) > seen:
                evaluate_on_the_way(config)
                seen = len(snapshots(finetune_folder(config)))
            time.sleep(_POLL_S)
