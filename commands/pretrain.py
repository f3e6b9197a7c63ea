"""`regrasp pretrain`: what the policy sees through, and the multi-task policy, from the store of `collect`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields, replace
from typing import Any, cast

from omegaconf import DictConfig
from tqdm import tqdm

from factory.calibration import mark_in_use
from factory.data import recorded_by, robot_of
from factory.policy import KEYPOINTS, agent_config, encoder_config, feeding_of, with_compile
from factory.reward import backbone_of, note_read, require_readable_task
from factory.run_folders import pretrained_beside, pretrained_folder
from factory.sources import note_sources, open_sources, require_sources, shares_of, sources_in_words
from factory.spec import camera_names, device_of, plain
from factory.task import instructions_of
from factory.threads import training_threads
from policies.agent.compile_choice import Workload
from policies.common.launch import Launch
from policies.common.ranks import Ranks
from policies.learner.pretrain import policy_checkpoint, pretrain
from policies.learner.pretrain_config import PretrainConfig
from policies.perception.keypoint_config import KeypointConfig
from policies.replay.dataset import read_whole
from rewards.readable import recorded_wordings, require_readable
from robot.rollout.places import Places
from trajectories.alignment import EpisodeSource
from trajectories.errors import ConfigError
from trajectories.kinds import is_attempt
from trajectories.settings import build, require_known
from trajectories.types import Episode
from trajectories.writer_lock import only_writer


class Bars:
    """A progress bar for each stage, one after the other."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` updates of `stage` are over."""
        if stage != self._stage or self._bar is None:
            self.close()
            self._stage = stage
            self._bar = tqdm(total=total, initial=done, desc=f"training {stage}", unit="update", dynamic_ncols=True)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """End the last bar."""
        if self._bar is not None:
            self._bar.close()


def pretrain_config(config: DictConfig, device: str) -> PretrainConfig:
    """Settings of pre-training by the settings' method on a device.

    Raises:
        ConfigError: One is unknown or out of range, or fine-tuning shall train an encoder that this freezes.
    """
    feeding, agent, chosen = feeding_of(config), agent_config(config), plain(config.pretrain)
    work = [Workload(agent.offline, feeding.steps if feeding.pretrains else 0, feeding.batch)]
    raw = {
        "batch": feeding.batch,
        "begins_online": not feeding.pretrains,
        "replay_device": config.replay.device,
        "encoder": encoder_config(config),
        "camera": camera_names(config)[0],
        "keypoints": build(
            KeypointConfig, {"steps": chosen.pop("encoder_steps")}, "pretrain", {"steps": "pretrain.encoder_steps"}
        ),
        "agent": with_compile(agent, config, work, device, policy_checkpoint(pretrained_folder(config))),
    }
    require_known(chosen, {entry.name for entry in fields(PretrainConfig)} - set(raw), "pretrain")
    lengths = {"clone_steps": feeding.clone_steps, "steps": feeding.steps}
    keys = {"replay_device": "replay.device"}
    made = cast(PretrainConfig, build(PretrainConfig, {**chosen, **raw, **lengths}, "pretrain", keys))
    if made.settles and made.steps > 0 and not config.finetune.freeze_encoder:
        raise ConfigError(
            "finetune.freeze_encoder=false goes on training an image encoder that pretrain.freeze_encoder=true freezes "
            "after cloning. Set both to false (in another run_dir, if it was pre-trained with true), or neither."
        )
    return made


def alike(config: PretrainConfig, ranks: Ranks) -> PretrainConfig:
    """The settings of each rank, compiled or not as the first one chose by what its machine has."""
    return replace(config, agent=replace(config.agent, compile=ranks.json_from_first(lambda: config.agent.compile)))


def held_out_line(figures: dict[str, float], store: str = "") -> str:
    """Figures on held-out episodes as a line for a person; those of one of several stores where one is named."""
    words = {
        "clone_nll": "cloning {:.2f} nats",
        "action_error": "actions within {:.3f}",
        "td": "TD error {:.3f}",
        "q": "Q of the data's actions {:.2f}",
        "return": "their return {:.2f}",
        "q_correlation": "correlation of the two {:.2f}",
    }
    own = {name.removeprefix(f"{store}/"): value for name, value in figures.items() if name.startswith(f"{store}/")}
    shown = own if store else figures
    parts = [text.format(shown[name]) for name, text in words.items() if name in shown]
    if store:
        return f"  those of {store}: {', '.join(parts) or 'none'}"
    return f"policy, on {figures['episodes']:.0f} held-out episodes: {', '.join(parts)}"


def keypoint_lines(about: dict[str, Any]) -> list[str]:
    """How well keypoints, and an image encoder before cloning, see; none where no labels were learned."""
    last = KEYPOINTS if about["encoder"] == KEYPOINTS else "encoder"
    learned, lines = {KEYPOINTS: about.get("keypoint_errors"), last: about["encoder_errors"]}, []
    for name, errors in learned.items():
        if not errors:
            continue
        within = ", ".join(
            f"{point} point " + (f"within {cm:.2f} cm" if math.isfinite(cm) else "not measured (too few episodes)")
            for point, cm in (("pick", errors["pick_cm"]), ("place", errors["place_cm"]))
        )
        lines.append(f"{name}, on held-out episodes, on average: {within}")
    if about.get("place_trust"):
        believed = ", ".join(f"{name} {100 * part:.0f} %" for name, part in about["place_trust"].items())
        lines.append(f"place point, believed as far as hidden episodes bear it out, else their mean: {believed}")
    return lines


def demonstrated(stores: Iterable[EpisodeSource], task: str, robot: Mapping[str, str]) -> Iterator[Episode]:
    """The episodes in which a robot (`robot_of`) succeeded at a task; another one's base is elsewhere."""
    for store in stores:
        if recorded_by(store.path) == robot:
            succeeded = (info for info in store.infos() if info.task == task and info.outcome == "success")
            yield from read_whole(store, [info.id for info in succeeded if is_attempt(info)])


def run(config: DictConfig) -> None:
    """Train and save; goes on with what the folder holds, or says that nothing is left to do."""
    import torch

    from policies.agent.allocator import keep_freed_memory
    from policies.common.process_group import open_ranks

    require_sources(config)
    threads = training_threads(config)
    torch.set_num_threads(threads.threads)
    print(threads.why)
    keep_freed_memory()
    backbone, encoder = backbone_of(config), encoder_config(config)
    require_readable_task(config, backbone)
    if not feeding_of(config).pretrains:
        print(f"method={config.method.name} begins online: what the policy sees through is trained, the policy is not.")
    device = "cpu" if encoder is None else device_of(config)  # states alone are too little work for a GPU
    bars = Bars()
    folder = pretrained_folder(config)
    with ExitStack() as stack:
        ranks = stack.enter_context(open_ranks(Launch.of(), device))
        stores = open_sources(config, stack)
        if ranks.first:
            stack.enter_context(only_writer(folder))
        print(sources_in_words(stores))
        for store in stores:
            require_readable(backbone, recorded_wordings(store.infos()))
        about = pretrain(
            stores,
            str(config.task.name),
            instructions_of(config),
            backbone.encode_text,
            backbone.digest,
            alike(pretrain_config(config, device), ranks),
            folder,
            seed=int(config.seed),
            device=device,
            progress=bars,
            notify=tqdm.write,
            calibration=mark_in_use(config),
            shares=shares_of(config),
            beside=pretrained_beside(folder),
            ranks=ranks,
        )
        if ranks.first:
            note_sources(config, folder)
            note_read(folder)
            task, spec = str(config.task.name), stores[0].spec
            places = Places.in_episodes(demonstrated(stores, task, robot_of(config)), task, spec)
            places.save(folder)
    bars.close()
    for line in keypoint_lines(about):
        print(line)
    if about["held_out"]["episodes"]:
        print(held_out_line(about["held_out"]))
        for name in about.get("stores", {}):
            print(held_out_line(about["held_out"], name))
    print(f"Saved in {folder}")
