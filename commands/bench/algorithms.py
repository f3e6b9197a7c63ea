"""`regrasp bench algorithms`: environment x method x seed, one cell after the other, curves and a table.

Hydra's own multirun sweeps; this module runs one cell and draws what there is so far. A cell that is done with the same
settings is not done again; one that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from commands.bench.charts import bench_chart
from commands.bench.results import (
    CELL_FILE,
    RESULTS_FILE,
    Cell,
    alike,
    markdown,
    plain,
    points_of,
    read_cells,
    rows_of,
    shared_changes,
)
from commands.gym import finetune as gym_finetune
from commands.gym import pretrain as gym_pretrain
from commands.gym.job import GymRun, dataset_of, evaluations, gym_run, offline_settings, online_settings, plain_name
from policies.gym.offline import METRICS
from policies.gym.settings import OfflineSettings, OnlineSettings
from policies.learner.metrics import read_metrics
from policies.learner.run_folder import write_json
from trajectories.durable import replace_file
from trajectories.errors import ConfigError

_NO_VARIANT = frozenset(
    {
        "env", "method", "seed", "out", "steps", "data_dir", "threads", "progress", "compute",
        "evaluate_every", "offline_evaluate_every", "checkpoint_every", "agent.compile", "label",
    }
)  # fmt: skip
_HOW_OFTEN = frozenset({"evaluate_every", "checkpoint_every", "log_every", "replay_device"})
"""Settings that no number depends on: how often one is written, and where transitions are kept."""
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
    """What the cell's numbers depend on, plain JSON; of the data set their digest."""
    parts: dict[str, Any] = run.job.identity(dataset=_digest(config, run))
    if run.method.pretrains:
        parts["offline"] = _numbers(offline_settings(config, run, int(config.offline_steps)))
    if run.method.online:
        parts["online"] = _numbers(online_settings(config, run, int(config.steps)))
    return json.loads(json.dumps(parts))


def _digest(config: DictConfig, run: GymRun) -> str | None:
    """Return the digest of the data set, where something is learned from it."""
    mixes = run.method.online and online_settings(config, run, int(config.steps)).offline_ratio > 0
    learns = run.method.pretrains or mixes or run.job.data.normalise
    return dataset_of(run, config).digest if learns else None


def _numbers(settings: OfflineSettings | OnlineSettings) -> dict[str, Any]:
    return {name: value for name, value in asdict(settings).items() if name not in _HOW_OFTEN}


def is_done(done: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether a cell of the settings `done` need not be trained again: all alike, and at least as many online steps."""
    went, wanted = (settings.get("online", {}).get("steps", 0) for settings in (done, asked))
    return alike(done) == alike(asked) and bool(went >= wanted)


def offline_part(config: DictConfig, run: GymRun, settings: Mapping[str, Any], out: Path) -> GymRun:
    """The run's training offline, which all cells share that differ in what comes after it only.

    It knows nothing of the phases that follow, and its folder is named by everything else of the cell's `settings`.
    """
    agent = replace(run.job.agent, warmup=run.job.agent.offline, online=run.job.agent.offline)
    part = replace(run, job=replace(run.job, agent=agent), method=replace(run.method, agent=agent))
    parts = part.job.identity(dataset=settings["dataset"], offline=settings["offline"])
    mark = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
    return replace(part, folder=out / "offline" / plain_name(str(config.env)) / mark / f"seed{config.seed}")


def train_cell(config: DictConfig, run: GymRun, changes: tuple[str, ...], settings: Mapping[str, Any]) -> Cell:
    """Train offline, unless another cell did, and online, as the method does."""
    offline, online, start = [], [], None
    if run.method.pretrains:
        begun = offline_part(config, run, settings, Path(config.out))
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
        settings=settings,
        label=config.label,
    )


def run(config: DictConfig) -> None:
    """Run one cell unless it is done, then write the results of all cells there are.

    Raises:
        ConfigError: For a `run_dir`: cells have folders of their own.
    """
    if config.run_dir is not None:
        raise ConfigError("A bench has a folder for each cell under out; give out=FOLDER instead of run_dir.")
    out, changes = Path(config.out), changes_of(HydraConfig.get().overrides.task)
    folder = cell_folder(out, str(config.env), str(config.method), changes, int(config.seed))
    prepared = replace(gym_run(config), folder=folder)
    path = folder / CELL_FILE
    name = ", ".join([str(config.env), str(config.method), *changes, f"seed {config.seed}"])
    settings = settings_of(config, prepared)
    done = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if is_done(done.get("settings", {}), settings):
        print(f"== {name}: done before", flush=True)
        if config.label not in (None, done.get("label")):
            write_json(path, {**done, "label": config.label})
        elif is_newer(out / RESULTS_FILE, path):
            return
    else:
        print(f"== {name}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, plain(asdict(train_cell(config, prepared, changes, settings))))
    written = write_results(out, read_cells(out))
    print(f"Written: {', '.join(str(file) for file in written)}", flush=True)


def is_newer(results: Path, cell: Path) -> bool:
    """Whether the results were written after the cell was done."""
    return results.is_file() and results.stat().st_mtime_ns >= cell.stat().st_mtime_ns


def write_results(out: Path, cells: Sequence[Cell]) -> list[Path]:
    """Write `results.md`, `results.json` and one `curves_<environment>.svg` each."""
    rows, shared = rows_of(cells), shared_changes(cells)
    written = {
        "results.md": markdown(rows, shared),
    }
    for env in dict.fromkeys(cell.env for cell in cells):
        here = [cell for cell in cells if cell.env == env]
        written[f"curves_{plain_name(env)}.svg"] = bench_chart(env, here, shared)
    written[RESULTS_FILE] = json.dumps(plain([asdict(r) for r in rows]), indent=1)  # last: it says that all are there
    for name, text in written.items():
        replace_file(out / name, text.encode())
    return [out / name for name in written]
