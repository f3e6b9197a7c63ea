"""`regrasp evaluate env=ID`: return and success of a policy that `pretrain env=ID` or `finetune env=ID` left."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from commands.bench.tasks import BENCH_TASKS
from commands.gym.job import default_folder, evaluation_settings, named_env
from commands.report.statistics import format_rate
from factory.spec import device_of, plain
from policies.gym.acting import GymPolicy
from policies.gym.checkpoint import GymCheckpoint, load_checkpoint
from policies.gym.environment import EnvSettings, make_env
from policies.gym.evaluation import EpisodeResult, evaluate, summary
from policies.gym.offline import AGENT_FILE
from trajectories.conditions import short_digest
from trajectories.durable import replace_file
from trajectories.errors import CheckpointError, ConfigError

STAGES = ("online", "offline")


def checkpoint_of(chosen: str, folder: Path) -> Path:
    """The file that the settings mean.

    Args:
        chosen: "auto", one of `STAGES`, or a folder.
        folder: Of the run.

    Raises:
        CheckpointError: There is none.
    """
    stages = STAGES if chosen == "auto" else (chosen,)
    places = [(folder / stage if stage in STAGES else Path(stage)) / AGENT_FILE for stage in stages]
    found = [path for path in places if path.is_file()]
    if not found:
        raise CheckpointError(
            f"There is no {' or '.join(map(str, places))} to evaluate. Run `regrasp pretrain` or `regrasp finetune` "
            "with the same env, method and seed first, or give run_dir=FOLDER."
        )
    return found[0]


def environment_of(config: DictConfig, saved: GymCheckpoint, path: Path) -> EnvSettings:
    """The environment that the policy was trained in, with what the settings change of it.

    Raises:
        ConfigError: The policy was trained in another one.
    """
    task = BENCH_TASKS.get(str(config.env))
    named, then = named_env(str(config.env)) if task is None else task.env, saved.identity["env"]
    if named.id != then["id"]:
        raise ConfigError(f"{path} was trained in {then['id']}, not in {named.id}; give env= as it was then.")
    kwargs = {**then["kwargs"], **plain(config.env_kwargs)}
    limit = then["max_steps"] if config.max_steps is None else int(config.max_steps)
    if "max_steps" in then["kwargs"] and config.max_steps is not None:
        kwargs["max_steps"] = limit
        limit = then["max_steps"]
    return replace(named, kwargs=kwargs, max_steps=limit)


def table(results: Mapping[str, Sequence[EpisodeResult]]) -> str:
    """Means of every mode as lines for a terminal."""
    lines = [f"{'actions':16} {'success (95 % interval)':28} {'return':>10} {'steps':>8}"]
    for mode, episodes in results.items():
        known = [result.success for result in episodes if result.success is not None]
        rate = format_rate(sum(known), len(known)) if known else "the environment doesn't say"
        means = summary(list(episodes), "mean")
        lines.append(f"{mode:16} {rate:28} {means['mean/return']:10.2f} {means['mean/length']:8.1f}")
    return "\n".join(lines)


def run(config: DictConfig) -> None:
    """Evaluate, print a table, and keep the figures with their conditions."""
    import torch

    torch.set_num_threads(int(config.threads))
    folder = Path(config.run_dir or default_folder(config))
    path = checkpoint_of(str(config.checkpoint), folder)
    saved = load_checkpoint(path, device=device_of(config))
    settings, measured = environment_of(config, saved, path), evaluation_settings(config)
    env = make_env(settings, images=saved.preparation.encoder is not None)
    policy = GymPolicy(saved.agent, saved.preparation)
    try:
        results: dict[str, list[EpisodeResult]] = {
            mode: evaluate(policy, env, measured, mode) for mode in measured.modes
        }
    finally:
        env.close()
    conditions: dict[str, Any] = {
        "env": settings.to_dict(),
        "policy": saved.digest,
        "evaluation": asdict(measured),
    }
    out = path.parent / "evaluations" / f"{short_digest(conditions)}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    figures = {mode: summary(episodes, "mean") for mode, episodes in results.items()}
    rows = {mode: [asdict(one) for one in episodes] for mode, episodes in results.items()}
    content = {"conditions": conditions, "figures": figures, "episodes": rows}
    replace_file(out, json.dumps(content, indent=1).encode())
    print(f"{config.env}, {path}\n{table(results)}\n\nDetails: {out}")
