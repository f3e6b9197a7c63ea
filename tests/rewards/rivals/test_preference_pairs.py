"""Pairs of frames: drawn from what is known, and read from a file."""

import re

import numpy as np
import pytest
from helpers.sliding_square import SPEC

from rewards.config import RewardConfig
from rewards.gathering import gather
from rewards.pairs import own_pairs
from rewards.registry import KINDS
from rewards.rivals.preference_pairs import LabelledPair, pairs_of_file, pairs_of_outcomes, read_pairs
from rewards.rivals.scorer import Lessons
from trajectories.errors import ConfigError

WORDS = {"forward": ["put the cube on the plate"], "backward": ["put the cube on the mat"]}


@pytest.fixture(scope="module")
def lessons(backbone, episodes):
    config = RewardConfig(folds=3, augmentations=0, require_open_gripper=False)
    data = gather(episodes, "slide", backbone, SPEC, config)
    own, known = own_pairs(data)
    return Lessons(data, own[known & (own.folds != 0)], frozenset({0}))


def place_of(lessons):
    return {int(row): (e, index) for e in lessons.data.episodes for index, row in enumerate(e.rows)}


def test_drawn_pairs_say_what_is_known(lessons):
    better, worse = pairs_of_outcomes(lessons, 0, 400, np.random.default_rng(0))
    assert len(better) == len(worse) == 400
    place = place_of(lessons)
    for row, other in zip(better[:200], worse[:200], strict=True):
        assert place[row][0].labels[place[row][1]] == 1
        assert place[other][0].labels[place[other][1]] == 0
    for row, other in zip(better[200:], worse[200:], strict=True):
        (episode, late), (same, early) = place[row], place[other]
        assert episode is same
        assert episode.outcome == "success"
        assert late > early
    folds = {place[row][0].fold for row in (*better, *worse)}
    assert folds == {1, 2}


def test_labelled_pairs_of_a_file(lessons, tmp_path):
    mine = [e for e in lessons.episodes if e.goal == 0]
    held_out = next(e for e in lessons.data.episodes if e.fold == 0 and e.goal == 0)
    pairs = [
        LabelledPair((mine[0].id, mine[1].id), (0, 12), "second"),
        LabelledPair((mine[0].id, mine[1].id), (3, 4), "first"),
        LabelledPair((mine[0].id, mine[1].id), (3, 4), "same"),
        LabelledPair((mine[0].id, held_out.id), (0, 12), "second"),
        LabelledPair((mine[0].id, "elsewhere"), (0, 12), "second"),
    ]
    (tmp_path / "pairs").write_text("".join(f"{pair.line()}\n" for pair in pairs))
    assert read_pairs(tmp_path / "pairs") == pairs
    better, worse = pairs_of_file(lessons, pairs, 0)
    assert better.tolist() == [mine[1].rows[12], mine[0].rows[3]]
    assert worse.tolist() == [mine[0].rows[0], mine[1].rows[4]]
    assert len(pairs_of_file(lessons, pairs, 1)[0]) == 0
    with pytest.raises(ConfigError, match=r"names frame 13 of episode .* ends with frame 12"):
        pairs_of_file(lessons, [LabelledPair((mine[0].id, mine[1].id), (0, 13), "first")], 0)


@pytest.mark.parametrize("line", ["{", "[]", '{"episodes": ["a"], "frames": [0, 1], "better": "first"}',
                                  '{"episodes": ["a", "b"], "frames": [0, 1], "better": "b"}'])  # fmt: skip
def test_lines_that_are_no_pairs_are_named(line, tmp_path):
    (tmp_path / "pairs").write_text(line + "\n")
    with pytest.raises(ConfigError, match=r"line 1 is no labelled pair.*Expected e\.g\."):
        read_pairs(tmp_path / "pairs")
    with pytest.raises(ConfigError, match="There is no file of labelled pairs"):
        read_pairs(tmp_path / "none")


def test_a_judge_learns_from_a_file_and_turned_labels_turn_it(backbone, episodes, tmp_path, monkeypatch):
    monkeypatch.setattr("rewards.rivals.kind.backbone_from", lambda *_: backbone)
    kind, rng = KINDS["preferences"], np.random.default_rng(0)
    settings = {
        "folds": 3, "require_open_gripper": False, "steps": 40, "members": 1, "layers": 1, "learning_rate": 3e-3,
        "pairs_file": str(tmp_path / "pairs"),
    }  # fmt: skip

    def said(better):
        lines = []
        for direction in WORDS:
            mine = [e for e in episodes if e.direction == direction]
            good, bad = ([e for e in mine if e.outcome == outcome] for outcome in ("success", "failure"))
            for _ in range(60):
                first, second = bad[int(rng.integers(len(bad)))], good[int(rng.integers(len(good)))]
                lines.append(LabelledPair((first.id, second.id), (int(rng.integers(13)), 12), better).line())
                lines.append(LabelledPair((second.id, second.id), (int(rng.integers(6)), 12), better).line())
        (tmp_path / "pairs").write_text("\n".join(lines) + "\n")
        return kind.train(iter(episodes), "slide", WORDS, SPEC, settings, tmp_path, lambda *_: None)

    found = re.search(r"(\d+) of 16 successes found", said("second"))
    assert found
    assert int(found[1]) >= 13
    with pytest.raises(ConfigError, match=r"would miss most successes|would call failures done"):
        said("first")
    with pytest.raises(ConfigError, match="No labelled pair is of 'slide' in the direction 'forward'"):
        said("same")
