"""`regrasp label`: a reward model says of stored episodes whether they succeeded, into a file for `train-reward`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from commands.overrides import typed_keys
from factory.judge_settings import require_trained_like
from factory.reward import asks_a_model, reward_of, reward_settings
from factory.reward_episodes import RECORDED
from factory.spec import spec_of
from factory.store_place import store_at
from rewards.kind import LoadedReward, observations_of
from rewards.rivals.preference_pairs import read_pairs
from robot.interfaces import ConcludingReward
from trajectories.alignment import EpisodeSource
from trajectories.errors import ConfigError, CorruptEpisodeError
from trajectories.kinds import is_attempt, kind_of, was_displaced
from trajectories.store import TrajectoryStore
from trajectories.text_file import lines_of
from trajectories.types import Episode, Outcome
from trajectories.verdicts import VERDICT_KEY


def read_labels(path: Path) -> dict[str, Outcome]:
    """Episode's id -> outcome, from what `regrasp label` wrote; a later line of an episode goes before an earlier one.

    Raises:
        ConfigError: When there is no such file, it is no text, or a line is none of this verb.
    """
    found: dict[str, Outcome] = {}
    for number, line in enumerate(lines_of(path, "labels", "`regrasp label` writes one."), 1):
        try:
            entry = json.loads(line)
            outcome = entry["outcome"]
            if outcome not in ("success", "failure", "unknown"):
                raise ValueError(f"outcome {outcome!r}")
            found[str(entry["episode"])] = outcome
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}, line {number} is no label of `regrasp label`: {error}.") from error
    return found


def with_outcomes(episodes: Iterable[Episode], labels: Mapping[str, Outcome]) -> Iterator[Episode]:
    """The episodes, those that are labelled with that outcome; for judges, which learn from outcomes alone.

    A person's verdict holds against a label, and what is known against the label "unknown".
    """
    for episode in episodes:
        label = labels.get(episode.id, "unknown")
        keep = label == "unknown" or VERDICT_KEY in episode.metadata
        yield episode if keep else replace(episode, outcome=label)


def in_use(labels: Mapping[str, Outcome], path: Path, stores: Sequence[EpisodeSource]) -> str:
    """Say how many of the labels in the file `path` name episodes of the stores that a reward model learns from.

    Raises:
        ConfigError: None does.
    """
    here = {info.id for store in stores for info in store.infos() if kind_of(info) in RECORDED}
    named = len(here & labels.keys())
    if not named:
        raise ConfigError(
            f"None of the {len(labels)} labels in {path} names an episode that is learned from in "
            f"{', '.join(str(store.path) for store in stores)}; expected what `regrasp label` wrote of one of these "
            "stores. Name its store with data=[FOLDER], or leave out labels=. Of sessions only people's words count "
            "(`regrasp review`)."
        )
    return f"{named} of {len(labels)} labels in {path} name episodes here."


def judged(reward: LoadedReward, episode: Episode) -> tuple[Outcome, float]:
    """Outcome and probability of an episode as a session would have got them; "unknown" and NaN without an answer."""
    reward.reset(episode.instruction)
    reading = None
    for observation in observations_of(episode):
        reading = reward.update(observation)
        if reading.done:
            return "success", reading.probability
    if isinstance(reward, ConcludingReward):
        reading = reward.conclude()
    if reading is None:
        return "unknown", float("nan")
    return ("success" if reading.done else "failure"), reading.probability


def run(config: DictConfig) -> None:
    """Judge every episode of the task in the store that has no label in the file yet; with `pairs`, pairs of frames."""
    if config.pairs:
        label_pairs(config)
    else:
        label_episodes(config)


def label_pairs(config: DictConfig) -> None:
    """Have a generative model say which of two frames is the better one, for pairs that the seed draws.

    Raises:
        ConfigError: For another kind of reward model, a store without two episodes of a direction, or a file that
            holds something else.
    """
    from rewards.generative.pairs import ask_about_pairs, draw_pairs

    if not asks_a_model(config):
        raise ConfigError("Pairs are labelled by a generative model: give reward=generative_vlm.")
    path = Path(config.pairs_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    known = len(read_pairs(path)) if path.is_file() else 0
    with (
        TrajectoryStore(store_at(config, str(config.store)), read_only=True) as store,
        path.open("a", encoding="utf-8") as file,
    ):
        infos = [i for i in store.infos() if i.task == config.task.name and is_attempt(i) and not was_displaced(i)]
        drawn = draw_pairs(infos, int(config.pairs), int(config.seed))[known:]
        log = path.with_name("calls.jsonl")
        pairs = ask_about_pairs(drawn, store.read, reward_settings(config), spec_of(config), log)
        for pair in tqdm(pairs, total=len(drawn), desc="labelling pairs", unit="pair", dynamic_ncols=True):
            file.write(pair.line() + "\n")
            file.flush()
    print(f"{len(read_pairs(path))} pairs in {path}; `regrasp train-reward reward=preferences` learns from them.")


def label_episodes(config: DictConfig) -> None:
    """Judge every episode of the task in the store that has no label in the file yet."""
    require_trained_like(config, typed_keys(), print)
    reward, path = reward_of(config, spec_of(config)), Path(config.labels)
    known = read_labels(path) if path.is_file() else {}
    done = {id for id, outcome in known.items() if outcome != "unknown"}
    path.parent.mkdir(parents=True, exist_ok=True)
    counts = {"success": 0, "failure": 0, "unknown": 0}
    agreed = differed = 0
    with (
        TrajectoryStore(store_at(config, str(config.store)), read_only=True) as store,
        path.open("a", encoding="utf-8") as file,
    ):
        infos = [
            info
            for info in store.infos()
            if info.task == config.task.name
            and info.id not in done
            and is_attempt(info)
            and not was_displaced(info)
            and (not config.only_unknown or info.outcome == "unknown")
        ]
        for info in tqdm(infos, desc="labelling", unit="episode", dynamic_ncols=True):
            try:
                outcome, probability = judged(reward, store.read(info.id))
            except CorruptEpisodeError as error:
                tqdm.write(f"left out: {error}")
                continue
            counts[outcome] += 1
            agreed += outcome == info.outcome != "unknown"
            differed += "unknown" not in (outcome, info.outcome) and outcome != info.outcome
            given = None if probability != probability else probability
            file.write(json.dumps({"episode": info.id, "outcome": outcome, "probability": given}) + "\n")
            file.flush()
    print(
        f"{counts['success']} successes, {counts['failure']} failures, {counts['unknown']} without an answer; of those "
        f"with an outcome in the store {agreed} agree with it and {differed} don't. Written to {path}; "
        f"`regrasp train-reward labels={path}` learns from it."
    )
