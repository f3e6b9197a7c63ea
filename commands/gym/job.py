"""Settings of a person turned into a job on a Gymnasium environment: `pretrain env=`, `finetune env=`, `bench`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, get_args

from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from commands.bench.data import recorded
from commands.bench.tasks import BENCH_TASKS, MODULES, BenchTask
from factory.policy import CRITIC_LOSS, with_compile, with_critic_loss
from factory.spec import plain
from policies.agent.compile_choice import Workload, compile_setting
from policies.agent.config import AgentConfig
from policies.agent.methods import Family, Method, method
from policies.gym.environment import EnvSettings, interface_of, make_env
from policies.gym.observation_spaces import Layout
from policies.gym.offline import AGENT_FILE
from policies.gym.preparation import read_dataset
from policies.gym.settings import DataSettings, EvaluationSettings, Job, Mode, OfflineSettings, OnlineSettings
from policies.perception.encoders.config import EncoderConfig
from trajectories.errors import ConfigError
from trajectories.flat.episode import FlatDataset

NO_ENCODER = "none"
ROBOSUITE = "robosuite:"
"""In front of the name of one of robosuite's tasks, where a Gymnasium id may stand."""


@dataclass(frozen=True)
class GymRun:
    """A job, and what the commands do with it.

    Attributes:
        job: Environment, networks, losses, treatment of data.
        method: As published, or as the settings changed it.
        folder: Of the run.
        dataset: File of the data set, or the name of a bench task; None for none.
        layout: Of the environment's observations, which robomimic's files name one by one.
    """

    job: Job
    method: Method
    folder: Path
    dataset: str | None
    layout: Layout

    @property
    def pretrained(self) -> Path:
        """Folder of what was trained offline."""
        return self.folder / "offline"

    @property
    def finetuned(self) -> Path:
        """Folder of what was trained online."""
        return self.folder / "online"

    @property
    def start(self) -> Path:
        """Checkpoint that training offline leaves."""
        return self.pretrained / AGENT_FILE


def gym_run(config: DictConfig) -> GymRun:
    """What the settings ask for; whatever they leave open (null) is the bench task's, then the method's own.

    Raises:
        ConfigError: A setting is unknown or out of range.
    """
    task = BENCH_TASKS.get(str(config.env))
    env = env_settings(config, task)
    flat = make_env(env, images=config.encoder.kind != NO_ENCODER)
    interface = interface_of(flat)
    flat.close()
    actions = interface.actions
    family = str(config.family or (task.family if task else "locomotion"))
    if family not in get_args(Family):
        raise ConfigError(f"family={family} is unknown; expected one of {', '.join(get_args(Family))}.")
    published = method(str(config.method), actions, family)  # type: ignore[arg-type]
    if config.hidden not in ("task", "published"):
        raise ConfigError(f"hidden={config.hidden} is unknown; expected task or published.")
    agent = published.agent
    if task is not None and config.hidden == "task":
        agent = agent.with_hidden(task.hidden)
    changes: dict[str, Any] = OmegaConf.to_container(config.agent, resolve=True)  # type: ignore[assignment]
    changes["compile"] = compile_setting(changes["compile"]) is True  # `auto`: see `compiled_run`
    critic_loss = [changes.pop(name) for name in CRITIC_LOSS]
    agent = with_critic_loss(AgentConfig.from_dict(merged(agent.to_dict(), changes)), *critic_loss)
    kept = {} if config.batch is None else {"batch": config.batch}
    data = data_settings(config, task, published)
    job = Job(env, agent, data, evaluation_settings(config), int(config.seed), encoder_of(config, interface.layout))
    dataset = config.dataset if task is None or config.dataset is not None else str(config.env)
    folder = Path(config.run_dir or default_folder(config))
    return GymRun(
        job,
        replace(published, agent=agent, **kept),
        folder,
        None if dataset is None else str(dataset),
        interface.layout,
    )


def encoder_of(config: DictConfig, layout: Layout) -> EncoderConfig | None:
    """The image encoder of the settings, which looks at every image unless `encoder.cameras` names some; or None.

    Raises:
        ConfigError: A setting is wrong, or there are no images.
    """
    raw = plain(config.encoder)
    if raw["kind"] == NO_ENCODER:
        return None
    images = raw.get("cameras") or list(layout.cameras)
    if not images:
        raise ConfigError(f"{config.env} observes no images that an encoder could look at. Leave encoder= out.")
    return EncoderConfig.from_dict({**raw, "cameras": images, "instruction": "none"})


def compiled_run(config: DictConfig, run: GymRun, work: Sequence[Workload], device: str, checkpoint: Path) -> GymRun:
    """The run, compiled where `agent.compile` asks for it or, with auto, where the updates pay for it; says which.

    Args:
        config: Settings.
        run: What is trained.
        work: All its updates.
        device: Where they are done.
        checkpoint: Of this training; one that is there decides.
    """
    agent = with_compile(run.job.agent, config, work, device, checkpoint)
    return replace(run, job=replace(run.job, agent=agent))


def env_settings(config: DictConfig, task: BenchTask | None) -> EnvSettings:
    """The environment, with the task's or the person's arguments."""
    base = named_env(str(config.env)) if task is None else task.env
    kwargs: dict[str, Any] = OmegaConf.to_container(config.env_kwargs, resolve=True)  # type: ignore[assignment]
    limit = base.max_steps if config.max_steps is None else int(config.max_steps)
    kwargs = {**base.kwargs, **kwargs}
    if "max_steps" in base.kwargs and config.max_steps is not None:  # the environment cuts episodes by itself
        kwargs["max_steps"] = limit
    return replace(base, kwargs=kwargs, max_steps=limit)


def named_env(name: str) -> EnvSettings:
    """The environment of a Gymnasium id, or of "robosuite:TASK", which `sim.robosuite` makes an id of."""
    if not name.startswith(ROBOSUITE):
        return EnvSettings(name, modules=MODULES)
    return EnvSettings(
        f"robosuite/{name.removeprefix(ROBOSUITE)}-v0", {"max_steps": 400}, None, ("sim.robosuite.gym_env",)
    )


def data_settings(config: DictConfig, task: BenchTask | None, published: Method) -> DataSettings:
    """Treatment of rewards and observations: the settings', else the task's, or the method's."""
    base = DataSettings() if task is None else task.data
    base = replace(base, normalise=base.normalise or published.normalise)
    given: dict[str, Any] = OmegaConf.to_container(config.data, resolve=True)  # type: ignore[assignment]
    return replace(base, **{name: value for name, value in given.items() if value is not None})


def evaluation_settings(config: DictConfig) -> EvaluationSettings:
    """How policies are measured."""
    modes: tuple[Mode, ...] = tuple(config.evaluate.modes)
    return EvaluationSettings(int(config.evaluate.episodes), modes, int(config.evaluate.seed))


def offline_settings(config: DictConfig, run: GymRun, steps: int) -> OfflineSettings:
    """Length of training offline, and what happens on the way."""
    return OfflineSettings(
        steps=steps,
        batch=run.method.batch,
        evaluate_every=int(config.offline_evaluate_every),
        checkpoint_every=int(config.checkpoint_every),
        replay_device=config.replay.device,
    )


def online_settings(config: DictConfig, run: GymRun, steps: int) -> OnlineSettings:
    """Length of training online, its updates, and what happens on the way."""
    method = run.method
    own = {"utd": method.utd, "offline_ratio": method.offline_ratio, "warmup_steps": method.warmup_steps}
    given = {"utd": config.utd, "offline_ratio": config.offline_ratio, "warmup_steps": config.warmup_steps}
    chosen = {name: value if given[name] is None else given[name] for name, value in own.items()}
    if config.utd is None and config.utd_limit is not None:
        chosen["utd"] = min(int(chosen["utd"]), int(config.utd_limit))
    return OnlineSettings(
        steps=steps,
        batch=method.batch,
        utd=int(chosen["utd"]),
        offline_ratio=float(chosen["offline_ratio"]),
        warmup_steps=int(chosen["warmup_steps"]),
        critic_only=int(config.critic_only),
        capacity=int(config.capacity),
        evaluate_every=int(config.evaluate_every),
        checkpoint_every=int(config.checkpoint_every),
        replay_device=config.replay.device,
    )


def dataset_of(run: GymRun, config: DictConfig) -> FlatDataset:
    """The data set, recorded first when it is a bench task's that isn't there yet.

    Raises:
        ConfigError: None is named.
    """
    if run.dataset is None:
        why = f"method={config.method} learns from a data set"
        if not run.method.pretrains and run.method.offline_ratio == 0:
            why = "data.normalise=true takes mean and spread from a data set"
        raise ConfigError(
            f"{why}; give dataset=FILE (HDF5 in D4RL's or robomimic's style) or the folder of a "
            f"Minari data set, or one of the tasks with data of their own: env={'|'.join(BENCH_TASKS)}."
        )
    path = Path(run.dataset)
    if run.dataset in BENCH_TASKS:
        require_own_environment(run)
        path = recorded(run.dataset, Path(config.data_dir), int(config.data_seed))
    return read_dataset(path, run.layout)


def require_own_environment(run: GymRun) -> None:
    """Refuse a bench task's own data for an environment with other arguments than they were recorded with.

    Raises:
        ConfigError: Naming the arguments.
    """
    task = BENCH_TASKS[str(run.dataset)]
    here, there = ({k: v for k, v in env.kwargs.items() if k != "max_steps"} for env in (run.job.env, task.env))
    other = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
    if other:
        raise ConfigError(
            f"The data of env={run.dataset} were recorded with other env_kwargs: {', '.join(other)} differ. Give "
            "dataset=FILE with data of this environment, or leave env_kwargs as they are."
        )


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the leaves of `changes` put in."""
    whole = dict(base)
    for name, value in changes.items():
        inner = whole.get(name)
        both = isinstance(value, Mapping) and isinstance(inner, Mapping)
        whole[name] = merged(inner, value) if both else value  # type: ignore[arg-type]
    return whole


def default_folder(config: DictConfig) -> Path:
    """`runs/gym/<environment>/<method>/seed<seed>`."""
    return Path("runs/gym") / plain_name(str(config.env)) / str(config.method) / f"seed{config.seed}"


def plain_name(text: str) -> str:
    """A name for a file from an id with slashes and colons."""
    return re.sub(r"[^A-Za-z0-9._=,+-]+", "_", text)


class StepBar:
    """A progress bar that is told how much is done."""

    def __init__(self, title: str, unit: str) -> None:
        self._title, self._unit = title, unit
        self._bar: tqdm[Any] | None = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` are over."""
        if self._bar is None:
            self._bar = tqdm(total=total, initial=done, desc=self._title, unit=self._unit, dynamic_ncols=True)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """End it."""
        if self._bar is not None:
            self._bar.close()


class Training(Protocol):
    """What `run_training` runs."""

    def run(self, progress: Callable[[str, int, int], None] | None = None) -> None:
        """Do what is left."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


def run_training(training: Training, title: str, unit: str) -> None:
    """Do what is left under a progress bar, and close the training whatever comes of it."""
    bar = StepBar(title, unit)
    try:
        training.run(bar)
    finally:
        bar.close()
        training.close()


def evaluations(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of metrics that are evaluations."""
    return [row for row in rows if any(name.startswith("eval/") for name in row)]


def evaluation_line(row: Mapping[str, Any]) -> str:
    """An evaluation as a line for a person."""
    modes = sorted({name.split("/")[1] for name in row if name.startswith("eval/")}, reverse=True)
    parts = []
    for mode in modes:
        value = row[f"eval/{mode}/return"]
        text = f"{mode}: return {'not a number' if value is None else f'{value:.2f}'}"
        if f"eval/{mode}/success" in row:
            text += f", success {100 * row[f'eval/{mode}/success']:.0f} %"
        parts.append(text)
    return "; ".join(parts)
