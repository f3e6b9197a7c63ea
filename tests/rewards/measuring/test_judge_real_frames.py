"""The benchmark on pictures labelled by hand: what it learns from and tries, and its page for a folder."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.sliding_square import make_episode
from PIL import Image

from benchmarks import judge_real_frames as benchmark
from rewards.labelled_pictures import LabelledPicture, read_pictures
from trajectories.errors import ConfigError


def pictures(count=6, task="slide", seed=0):
    """Two videos of a task, of half the episodes each, three pictures an episode; feature 0 says done."""
    shown = [
        LabelledPicture(Path("x"), task, task, f"{task}_{'ab'[e % 2]}/{e}", frame, "done" if frame == 2 else "not_done")
        for e in range(count)
        for frame in range(3)
    ]
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 0.3, (len(shown), 3))
    features[:, 0] += [2.0 * (one.label == "done") for one in shown]
    return benchmark.Pictures(shown, dict.fromkeys(benchmark.CHANGES, features), {})


def test_nothing_is_tried_on_what_was_learned_from():
    both = pictures()
    other = pictures(task="fold", seed=1)
    shown = benchmark.Pictures(
        [*both.shown, *other.shown],
        {n: np.concatenate([both.features[n], other.features[n]]) for n in benchmark.CHANGES},
        {},
    )
    episodes, tasks = shown.of("episode"), shown.of("task")
    for splits, apart in (
        (benchmark.other_episodes, episodes), (benchmark.other_tasks, tasks),
        (benchmark.other_videos, np.array([name.split("/")[0] for name in episodes])),
    ):  # fmt: skip
        tried = np.zeros(len(tasks), int)
        for learnt, others in splits(shown, "slide"):
            assert not set(apart[learnt]) & set(apart[others])
            assert set(tasks[others]) <= {"slide"}
            tried += others
        assert tried.tolist() == (tasks == "slide").astype(int).tolist()


def test_scores_find_what_can_be_found():
    seen = pictures()
    for score in ("probe", "goal"):
        judged = benchmark.tried(seen, benchmark.other_episodes(seen, "slide"), score)
        assert (judged.above == judged.done).mean() > 0.9
    blind = replace(seen, features={n: f[:, 1:] for n, f in seen.features.items()})
    judged = benchmark.tried(blind, benchmark.other_episodes(blind, "slide"), "probe")
    assert abs(judged.probability[judged.done].mean() - judged.probability[~judged.done].mean()) < 0.3


def test_a_folder_becomes_a_page(tmp_path, monkeypatch, capsys):
    entries = []
    for number in range(6):
        episode = make_episode(np.random.default_rng(number), number)
        for row in (0, 6, 11, 12):
            name = f"slide_{'ab'[number % 2]}_{number}_{row}.png"
            Image.fromarray(episode.images["front"][row]).save(tmp_path / name)
            entries.append({
                "file": name, "task": "slide", "instruction": "put the cube on the plate", "frame": row,
                "episode": f"slide_{'ab'[number % 2]}/{number}", "label": "done" if row > 10 else "not_done",
            })  # fmt: skip
    (tmp_path / "frames.json").write_text(json.dumps(entries))
    monkeypatch.setattr(sys, "argv", ["judge_real_frames.py", str(tmp_path)])
    monkeypatch.setattr(benchmark, "CANDIDATES", ())
    benchmark.main()
    said = capsys.readouterr().out
    assert said.startswith("24 pictures of 6 episodes")
    rows = [line for line in said.splitlines() if line.startswith("| other episodes → slide | 6 | 12 of 24 |")]
    assert len(rows) == 4  # probe and goal, of pixels and of the embedded backbone
    assert "1.00 (1.00 to 1.00)" in rows[0]
    assert len(read_pictures(tmp_path)) == 24
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path), "--backbone", "ViT-B-32:mine"])
    with pytest.raises(ConfigError, match="no weights 'mine' of ViT-B-32"):
        benchmark.main()
