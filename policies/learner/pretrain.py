"""Pre-training: how the policy sees, then the multi-task policy with cloning and Cal-QL.

    perception  keypoints: a network learns hindsight labels of play, demonstrations and prior data, and is frozen;
                also beside an image encoder that asks for them (encoder.keypoints)
                image encoder of one camera that cloning trains: the same labels, through a head that is dropped;
                others: initial weights, which are trained along with the policy
    policy      demonstrations, failures, prior data, through the perception; cloning alone first, which trains the
                encoder, too, then Cal-QL with the cloning term on features, or with `freeze_encoder=False` on images,
                where the critics go on training it

They go into features.safetensors, actor.safetensors and agent.safetensors: a policy folder (`policies.policy`) that
also holds the whole agent, for fine-tuning to go on from. Beside them lies what a later call goes on from, to the bit:

    training/   checkpoints of both stages, two each: networks, optimisers, random generators, draws, settings
    metrics/    metrics.jsonl and TensorBoard files of the policy's updates; keypoints/ those of the keypoint network,
                encoder/ those of an image encoder's labels
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from policies.agent.agent import Agent
from policies.agent.checkpoint import save_agent
from policies.common.kept_checkpoints import KeptCheckpoint, KeptCheckpoints, checkpoint_files, shared_newest
from policies.common.progress import Progress
from policies.common.ranks import ALONE, Ranks
from policies.common.refused_writes import wait_for_room
from policies.learner.encoder_stage import ENCODER, EncoderStage, TrainedEncoder
from policies.learner.held_out import HeldOutEpisodes
from policies.learner.keypoint_stage import DECIDING, KEYPOINTS, KeypointStage, TrainedKeypoints
from policies.learner.offline_data import OfflineData, SharedOfflineData, offline_data, shared_offline_data
from policies.learner.policy_training import Keeping, PolicyTraining, settled_encoder
from policies.learner.pretrain_config import PretrainConfig
from policies.learner.record import Record
from policies.learner.recorded_data import RecordedData
from policies.perception.image_perception import ImagePerception
from policies.perception.making import new_image_perception
from policies.perception.place_trust import NO_GROUPS
from policies.perception.protocol import Perception
from policies.perception.rewording import Wordings
from policies.perception.text_table import EncodeText, TextTable
from policies.policy import save_policy
from policies.replay.dataset import ReplayEpisode, fill_replay, for_replay
from robot.control.calibration import CalibrationMark
from trajectories.alignment import EpisodeSource
from trajectories.durable import replace_file
from trajectories.errors import CheckpointError

AGENT_FILE = "agent.safetensors"
ABOUT_FILE = "pretraining.json"
TRAINING, METRICS = "training", "metrics"
KIND = "regrasp-pretraining-1"
POLICY = "policy"
"""Stem of the policy's checkpoints' names."""
_log = logging.getLogger(__name__)


def pretrain(
    stores: Sequence[EpisodeSource],
    task: str,
    wordings: Wordings,
    encode: EncodeText,
    text_source: str,
    config: PretrainConfig,
    folder: Path,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    notify: Callable[[str], None] = _log.warning,
    calibration: CalibrationMark | None = None,
    shares: Sequence[float] | None = None,
    beside: Sequence[Path] = (),
    ranks: Ranks = ALONE,
) -> dict[str, Any]:
    """Train perception and policy, and write the folder; goes on where an earlier call with the same settings stopped.

    Args:
        stores: Play, demonstrations, failures and prior data; of the first one's robot, those of others aligned to it
            (`trajectories.alignment.aligned`).
        task: The target task.
        wordings: Direction -> instructions of the target task; each of its episodes is used under all of them.
        encode: Text tower.
        text_source: Digest of its weights.
        config: Settings.
        folder: Where the policy goes.
        seed: Of everything random.
        device: Where the policy and an image encoder are trained; the small keypoint network stays on the CPU.
        progress: Told of the steps, on every rank of those that it does.
        notify: Told in words where it goes on, what is damaged, and of a disk that refuses.
        calibration: Of the arm that the data come from; None without one.
        shares: Of each store in a batch of the policy; None draws from all of them as from one.
        beside: Folders of other pre-trainings; where one holds the keypoint network that would come out here, it is
            taken (on one machine and version the same to the bit), with the seconds that it took there.
        ranks: Processes that train one policy, each called with the same arguments; the first one alone reads and
            writes the folder. The policy is that of one process, but for rounding.

    Returns:
        What is written to `pretraining.json`: kind of encoder, errors of keypoints, last losses and held-out figures,
        seconds of each stage, counts.

    Raises:
        ConfigError: The data lacks what training needs.
        CheckpointError: The folder holds a training of other settings or more updates, or nothing that can be read.
        MissingDependencyError: Pre-trained weights of the encoder are not on this machine.
    """
    ranks.cuts(config.batch)
    data = RecordedData(stores, task, wordings, config.held_out, None if shares is None else tuple(shares))
    source = {"text": text_source, "seed": seed, "device": torch.device(device).type}
    if not ranks.first:
        notify = _unheard
    work = _Pretraining(data, config, Path(folder), source, seed, device, progress, notify, tuple(beside), ranks)
    checkpoints = work.checkpoints(POLICY)
    saved = shared_newest(checkpoints, ranks)
    done = ranks.json_from_first(lambda: work.finished(saved))
    if done is not None:
        notify(f"{folder} is trained already, for {config.updates} updates of the policy: nothing is left to do.")
        return done
    perception, about = work.perception(TextTable.build(data.instructions, encode, text_source))
    agent, perception, measured = work.policy(perception, checkpoints, saved)
    about = {"task": task, "seed": seed, "encoder": perception.kind, **about, **measured}
    about["observations"] = seen_in_words(perception)
    if len(stores) > 1:
        about["stores"] = data.composition()
    if ranks.first:
        work.keep(agent, perception, about, calibration)
    return about


def _unheard(line: str) -> None:
    """The first rank says it."""
    del line


def policy_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of the policy that `pretrain` keeps in a folder, whether or not it can be read."""
    files = checkpoint_files(folder / TRAINING, POLICY)
    return files[max(files)] if files else None


@dataclass(frozen=True)
class _Pretraining:
    """One call of `pretrain`; see there."""

    data: RecordedData
    config: PretrainConfig
    folder: Path
    source: dict[str, Any]
    seed: int
    device: torch.device | str
    progress: Progress | None
    notify: Callable[[str], None]
    beside: tuple[Path, ...]
    ranks: Ranks

    def checkpoints(self, stem: str) -> KeptCheckpoints:
        """Those of one stage."""
        return self._checkpoints_in(self.folder, stem, self.notify)

    def _checkpoints_in(self, folder: Path, stem: str, notify: Callable[[str], None]) -> KeptCheckpoints:
        identity = {**self.data.identity(), **self.config.identity(), **self.source}
        deciding = DECIDING if stem == KEYPOINTS else None
        return KeptCheckpoints(folder / TRAINING, stem, KIND, identity, notify, deciding=deciding)

    def finished(self, saved: KeptCheckpoint | None) -> dict[str, Any] | None:
        """What the folder says about itself when it is that of all updates; None while there is something to do.

        Raises:
            CheckpointError: It is that of more updates.
        """
        if saved is None or saved.number < self.config.updates:
            return None
        if saved.number > self.config.updates:
            raise CheckpointError(
                f"{saved.path} was trained for {saved.number} updates, more than the {self.config.updates} asked for. "
                f"Ask for at least as many, give another run_dir, or delete {saved.path.parent} to begin anew."
            )
        try:
            about: dict[str, Any] = json.loads((self.folder / ABOUT_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        whole = about.get("updates") == saved.number and (self.folder / AGENT_FILE).is_file()
        return about if whole else None

    def perception(self, text: TextTable) -> tuple[Perception, dict[str, Any]]:
        """What the policy sees through, and what there is to say about it."""
        data, config = self.data, self.config
        found = self._keypoints(text) if config.sees_keypoints else None
        if config.encoder is None and found is not None:
            seconds = round(found.seconds, 1)
            errors = found.errors.to_dict()
            return found.perception, {"encoder_errors": errors, "place_trust": found.trust, "encoder_s": seconds}
        assert config.encoder is not None
        started, beside = time.monotonic(), None if found is None else found.perception
        gaps = data.gaps(config.encoder.cameras)
        image = new_image_perception(
            data.training(), text, data.spec, config.encoder, self.seed, self.device, gaps, beside
        )
        taught = self._labelled(image) if config.labels else None
        perception, errors, seconds = image, {}, time.monotonic() - started
        if taught is not None:
            perception, errors, seconds = taught.perception, taught.errors.to_dict(), taught.seconds
        about: dict[str, Any] = {"encoder_errors": errors, "encoder_s": round(seconds, 1)}
        if found is not None:
            about |= {"keypoint_errors": found.errors.to_dict(), "place_trust": found.trust}
            about["keypoint_s"] = round(found.seconds, 1)
        return perception, about

    def _keypoints(self, text: TextTable) -> TrainedKeypoints:
        """The frozen keypoint network."""
        data, config = self.data, self.config
        gaps = data.gaps([config.camera])
        checkpoints, metrics = self.checkpoints(KEYPOINTS), self.folder / METRICS / KEYPOINTS
        groups = {name: [text.row(words) for words in same] for name, same in data.meanings.items()}
        stage = KeypointStage(
            text, data.spec, config, self.seed, checkpoints, gaps, groups if config.shrink_places else NO_GROUPS
        )
        if self.ranks.first:
            stage.take_over((self._checkpoints_in(each, KEYPOINTS, _unheard) for each in self.beside), self.notify)
            places = partial(data.places, began=config.began_done)
            made = stage.run(places, data.most_frames, metrics, self.notify, self._told)
        if self.ranks.count > 1:  # of which the others wait for the first one's network
            trained = shared_newest(checkpoints, self.ranks)
            made = made if trained is None else stage.finished(trained)
        return made

    def _labelled(self, image: ImagePerception) -> TrainedEncoder | None:
        """The image encoder after learning where things are; None where no episode shows that."""
        data, checkpoints, made = self.data, self.checkpoints(ENCODER), None
        stage = EncoderStage(image, self.config, self.seed, checkpoints)
        if self.ranks.first:
            places = partial(data.places, began=self.config.began_done)
            made = stage.run(places, data.most_frames, self.folder / METRICS / ENCODER, self.notify, self._told)
        if self.ranks.count > 1:  # of which the others wait for the first one's encoder
            trained = shared_newest(checkpoints, self.ranks)
            made = made if trained is None else stage.finished(trained)
        return made

    def policy(
        self, perception: Perception, checkpoints: KeptCheckpoints, saved: KeptCheckpoint | None
    ) -> tuple[Agent, Perception, dict[str, Any]]:
        """The trained agent, what it sees through, and what there is to say about it."""
        data, config = self.data, self.config
        if saved is not None:
            self.notify(f"The policy goes on after update {saved.number} of {config.updates}.")
            weights = settled_encoder(saved)
            perception = perception if weights is None else perception.with_encoder(weights).settled()
        replays = self._offline(perception)
        transitions = replays.transitions
        with ExitStack() as closed:
            keeping = held_out = None
            if self.ranks.first:
                record = Record.after(self.folder / METRICS, saved)
                closed.callback(record.close)
                keeping, held_out = Keeping(checkpoints, record), self._held_out(perception)
            training = PolicyTraining(
                replays, perception, config, self.seed, self.device,
                held_out=held_out, saved=saved, keeping=keeping, ranks=self.ranks,
            )  # fmt: skip
            del replays, held_out
            if config.settles and config.steps > 0 and perception.trained is not None:
                training.run(self.progress, until=config.clone_steps)
                perception = training.settle(self._offline, self._held_out)
            training.run(self.progress)
            seconds = {} if keeping is None else keeping.record.seconds
        return (
            training.agent,
            perception,
            {
                "updates": training.updates,
                "losses": training.losses,
                "held_out": {"episodes": len(data.held_out), **training.figures},
                "policy_s": round(sum(seconds.values()), 1),
                "transitions": transitions,
            },
        )

    def _offline(self, perception: Perception) -> OfflineData | SharedOfflineData:
        data, config = self.data, self.config
        if data.shares is None:
            return offline_data(
                data.training(), data.task, perception, config, self.seed, self.device, ranks=self.ranks
            )
        return shared_offline_data(data, data.shares, perception, config, self.seed, self.device, self.ranks)

    def _told(self, stage: str, done: int, total: int) -> None:
        """Of the steps of a stage that one rank does alone."""
        self.ranks.alive()
        if self.progress is not None:
            self.progress(stage, done, total)

    def _held_out(self, perception: Perception) -> HeldOutEpisodes | None:
        gamma = self.config.agent.gamma
        episodes: list[ReplayEpisode] = []
        counts: dict[str, int] = {}
        for name, store in zip(self.data.names, self.data.stores, strict=True):
            own = [for_replay(episode, perception, gamma) for episode in self.data.measured([store])]
            counts[name] = sum(len(episode) for episode in own)
            episodes += own
        if not episodes:
            return None
        fields, settings = perception.fields, self.config.replay
        replay = fill_replay(episodes, fields, gamma, device=self.device, settings=settings)
        return HeldOutEpisodes(replay, counts)

    def keep(
        self, agent: Agent, perception: Perception, about: dict[str, Any], calibration: CalibrationMark | None
    ) -> None:
        """Write the policy folder; while the disk refuses, it is tried again."""
        write = partial(save_pretrained, self.folder, agent, perception, about, calibration)
        wait_for_room(write, self.notify, what="the policy", work="the command")


def seen_in_words(perception: Perception) -> str:
    """What the policy sees."""
    seen = []
    if perception.encoder is None or perception.encoder.config.keypoints:
        seen.append("keypoints seen in one camera image")
    if perception.encoder is not None:
        cameras = ", ".join(perception.encoder.cameras)
        seen.append(f"images of {cameras} through an encoder of kind {perception.kind}")
    return f"proprioception, {', '.join(seen)}, instruction"


def save_pretrained(
    folder: Path,
    agent: Agent,
    perception: Perception,
    about: dict[str, Any],
    calibration: CalibrationMark | None = None,
) -> None:
    """Write a policy folder with the whole agent in it.

    Raises:
        CheckpointError, OSError: The disk refuses.
    """
    saved = save_policy(folder, perception, agent.config.networks, agent.actor_weights(), calibration)
    save_agent(folder / AGENT_FILE, agent, saved.spec, {"features": saved.digest}, calibration=calibration)
    replace_file(folder / ABOUT_FILE, (json.dumps(about, indent=2) + "\n").encode())
