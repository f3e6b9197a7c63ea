"""`regrasp finetune env=ID`: goes on online from `pretrain env=ID`, or begins there with methods that do."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from commands.gym.job import (
    GymRun,
    compiled_run,
    dataset_of,
    evaluation_line,
    evaluations,
    gym_run,
    online_settings,
    run_training,
)
from factory.spec import device_of
from policies.agent.compile_choice import Workload
from policies.gym.offline import AGENT_FILE, METRICS
from policies.gym.online import OnlineTraining, needs_data
from policies.learner.metrics import read_metrics
from trajectories.errors import CheckpointError, ConfigError
from trajectories.writer_lock import only_writer


def train(config: DictConfig, run: GymRun, steps: int, start: Path | None) -> None:
    """Train online, as far as the run's folder leaves anything to do.

    Args:
        config: Settings.
        run: The job.
        steps: Environment steps.
        start: Checkpoint to begin with; None from scratch.

    Raises:
        ConfigError: The method doesn't go online, or another process trains in the run's folder.
        CheckpointError: There is nothing to begin with.
    """
    import torch

    if not run.method.online:
        raise ConfigError(f"method={config.method} learns from a data set only; `regrasp pretrain` is all there is.")
    if start is not None and not start.is_file():
        raise CheckpointError(
            f"There is no {start} to begin with. Run `regrasp pretrain` with the same env, method and seed first, or "
            "give start=FOLDER."
        )
    torch.set_num_threads(int(config.threads))
    settings, device = online_settings(config, run, steps), device_of(config)
    agent, first = run.job.agent, settings.critic_only
    updates = max(0, settings.steps - settings.warmup_steps - first)
    work = [Workload(agent.warmup, first, settings.batch, settings.utd)]
    work += [Workload(agent.online, updates, settings.batch, settings.utd)]
    run = compiled_run(config, run, work, device, run.finetuned / AGENT_FILE)
    data = dataset_of(run, config) if needs_data(run.job, settings, start is None) else None
    with only_writer(run.finetuned):
        training = OnlineTraining(run.job, settings, run.finetuned, start=start, data=data, device=device)
        run_training(training, f"{config.method} online", "step")


def run(config: DictConfig) -> None:
    """Train, and print the first and the last evaluation."""
    prepared = gym_run(config)
    start = prepared.start if prepared.method.pretrains else None
    if config.start is not None:
        start = Path(config.start) / AGENT_FILE
    train(config, prepared, int(config.steps), start)
    rows = evaluations(read_metrics(prepared.finetuned / METRICS))
    for row in (rows[0], rows[-1]):
        print(f"after {row['step']} steps: {evaluation_line(row)}")
    print(f"Saved in {prepared.finetuned}")
