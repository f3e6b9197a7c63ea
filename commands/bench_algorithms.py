"""`regrasp bench algorithms`: environment x method x seed, one cell after the other, curves and a table.

Hydra's own multirun sweeps; this module runs one cell and draws what there is so far. A cell that is done with the same
settings is not done again; one that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from commands import gym_finetune, gym_pretrain
from commands.bench_results import CELL_FILE, Cell, points_of, read_cells, write_results
from commands.gym_job import GymRun, evaluations, gym_run, offline_settings, online_settings, plain_name
from policies.gym.offline import METRICS
from policies.metrics import read_metrics
from policies.run_folder import write_json

_NO_VARIANT = frozenset(
    {
        "env", "method", "seed", "out", "steps", "offline_steps", "data_dir", "threads", "progress", "compute",
        "evaluate_every", "offline_evaluate_every", "checkpoint_every", "evaluate.episodes", "agent.compile", "label",
    }
)  # fmt: skip
_LONGEST_NAME = 120


def changes_of(overrides: Sequence[str]) -> tuple[str, ...]:
    """What the command line changes about a method, of all its overrides: neither what cells go by, nor lengths."""
    return tuple(sorted(o.lstrip("+") for o in overrides if o.lstrip("+").partition("=")[0] not in _NO_VARIANT))


def cell_folder(out: Path, env: str, method: str, changes: Sequence[str], seed: int) -> Path:
    """Where everything of one cell goes."""
    name = plain_name(",".join([method, *changes]))
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}_{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return out / "cells" / plain_name(env) / name / f"seed{seed}"


def settings_of(config: DictConfig, run: GymRun) -> dict[str, Any]:
    """What the cell's numbers depend on, plain JSON."""
    parts: dict[str, Any] = run.job.identity(dataset=run.dataset, data_seed=int(config.data_seed))
    if run.method.pretrains:
        parts["offline"] = asdict(offline_settings(config, run, int(config.offline_steps)))
    if run.method.online:
        parts["online"] = asdict(online_settings(config, run, int(config.steps)))
    return json.loads(json.dumps(parts))


def offline_part(config: DictConfig, run: GymRun, out: Path) -> GymRun:
    """The run's training offline, which all cells share that differ in what comes after it only.

    It knows nothing of the phases that follow, and its folder is named by everything else.
    """
    agent = replace(run.job.agent, warmup=run.job.agent.offline, online=run.job.agent.offline)
    part = replace(run, job=replace(run.job, agent=agent), method=replace(run.method, agent=agent))
    parts: dict[str, Any] = part.job.identity(dataset=run.dataset, data_seed=int(config.data_seed))
    parts["offline"] = asdict(offline_settings(config, run, int(config.offline_steps)))
    mark = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
    return replace(part, folder=out / "offline" / plain_name(str(config.env)) / mark / f"seed{config.seed}")


def train_cell(config: DictConfig, run: GymRun, changes: tuple[str, ...]) -> Cell:
    """Train offline, unless another cell did, and online, as the method does."""
    offline, online, start = [], [], None
    if run.method.pretrains:
        begun = offline_part(config, run, Path(config.out))
        gym_pretrain.train(config, begun, int(config.offline_steps))
        offline, start = read_metrics(begun.pretrained / METRICS), begun.start
    if run.method.online:
        gym_finetune.train(config, run, int(config.steps), start)
        online = read_metrics(run.finetuned / METRICS)
    else:
        online = [{**evaluations(offline)[-1], "step": 0}]
    return Cell(
        env=str(config.env),
        method=str(config.method),
        changes=changes,
        seed=int(config.seed),
        episodes=int(config.evaluate.episodes),
        points=points_of(online),
        offline_s=offline[-1]["wall_s"] if offline else 0.0,
        online_s=online[-1]["wall_s"] if run.method.online else 0.0,
        settings=settings_of(config, run),
        label=config.label,
    )


def run(config: DictConfig) -> None:
    """Run one cell unless it is done, then write the results of all cells there are."""
    out, changes = Path(config.out), changes_of(HydraConfig.get().overrides.task)
    folder = cell_folder(out, str(config.env), str(config.method), changes, int(config.seed))
    prepared = replace(gym_run(config), folder=folder)
    path = folder / CELL_FILE
    name = ", ".join([str(config.env), str(config.method), *changes, f"seed {config.seed}"])
    done = json.loads(path.read_text()) if path.is_file() else {}
    if done.get("settings") == settings_of(config, prepared):
        print(f"== {name}: done before", flush=True)
        if config.label in (None, done.get("label")):
            return
        write_json(path, {**done, "label": config.label})
    else:
        print(f"== {name}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, asdict(train_cell(config, prepared, changes)))
    written = write_results(out, read_cells(out))
    print(f"Written: {', '.join(str(file) for file in written)}", flush=True)
