"""`regrasp pretrain env=ID dataset=FILE`: training on a data set, for any Gymnasium environment with a state."""

from __future__ import annotations

from omegaconf import DictConfig

from commands.gym.job import (
    GymRun,
    compiled_run,
    dataset_of,
    evaluation_line,
    evaluations,
    gym_run,
    offline_settings,
    run_training,
)
from factory.spec import device_of
from policies.agent.compile_choice import Workload
from policies.gym.offline import METRICS, OfflineTraining
from policies.learner.metrics import read_metrics
from trajectories.errors import ConfigError
from trajectories.writer_lock import only_writer


def train(config: DictConfig, run: GymRun, steps: int) -> None:
    """Train offline, as far as the run's folder leaves anything to do.

    Raises:
        ConfigError: The method has no offline phase, or another process trains in the run's folder.
    """
    import torch

    if not run.method.pretrains:
        raise ConfigError(
            f"method={config.method} begins online, without pre-training: `regrasp finetune env={config.env} "
            f"method={config.method}`."
        )
    torch.set_num_threads(int(config.threads))
    data = dataset_of(run, config)
    print(f"{data.source}: {data.describe()}")
    settings, device = offline_settings(config, run, steps), device_of(config)
    work = [Workload(run.job.agent.offline, settings.steps, settings.batch)]
    run = compiled_run(config, run, work, device, run.start)
    with only_writer(run.pretrained):
        training = OfflineTraining(run.job, settings, data, run.pretrained, device)
        run_training(training, f"{config.method} offline", "update")


def run(config: DictConfig) -> None:
    """Train, and print the last evaluation."""
    prepared = gym_run(config)
    train(config, prepared, int(config.steps))
    row = evaluations(read_metrics(prepared.pretrained / METRICS))[-1]
    print(f"after {row['step']} updates: {evaluation_line(row)}\nSaved in {prepared.pretrained}")
