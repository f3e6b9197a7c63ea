"""What is counted of a store, of a session's stream and of labelled pictures, by judges whose readings are known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.sliding_square import SPEC, make_episode
from PIL import Image

from rewards.judged_pictures import judged_pictures
from rewards.labelled_pictures import read_pictures
from rewards.measuring import StreamErrors, judged_store, look_at, recorded_stream
from robot.interfaces import RewardReading
from trajectories.errors import ConfigError
from trajectories.manifest import describe


class FirstPixel:
    """Its first pixel is the probability, in 255ths; two frames in a row above the middle are done."""

    camera = "front"

    def reset(self, instruction):
        self.row = 0

    def update(self, observation):
        probability = float(observation.images["front"][0, 0, 0]) / 255
        self.row = self.row + 1 if probability > 0.5 else 0
        return RewardReading(probability, self.row >= 2, probability > 0.5)


class AtTheEnd(FirstPixel):
    """The same, of the last frame alone."""

    def update(self, observation):
        self.last = super().update(observation)
        return RewardReading(float("nan"), False)

    def conclude(self):
        return RewardReading(self.last.probability, self.last.above, self.last.above)


def episode(number, outcome, high, truth=None, kind="demo", **metadata):
    """13 frames, those of `high` with probability 0.8, the others with 0.2."""
    made = make_episode(np.random.default_rng(number), number, outcome=outcome)
    made.images["front"][:, 0, 0, 0] = 51
    made.images["front"][list(high), 0, 0, 0] = 204
    said = {} if truth is None else {"evaluation": {"success": truth}}
    return replace(made, metadata={"kind": kind, **metadata, **said})


def test_frames_of_a_store():
    episodes = [
        episode(0, "success", range(10, 13)),
        episode(1, "failure", [4], failure="drop"),
        episode(2, "unknown", []),
        episode(3, "success", range(13), kind="aftermath"),
        episode(4, "success", range(10, 13), truth=False, kind="online"),  # the referee knows better
    ]
    judged, _ = judged_store(FirstPixel(), episodes)
    kinds = judged.groups["kind"]
    assert {k: int((kinds == k).sum()) for k in set(kinds)} == {
        "success": 6 + 3, "failure: drop": 13, "aftermath": 13, "failure: other": 13,
    }  # fmt: skip
    assert judged.done.sum() == 3 + 13
    assert judged.above[kinds == "failure: other"].sum() == 3
    assert not judged.done[kinds == "failure: other"].any()
    concluded, _ = judged_store(AtTheEnd(), episodes)
    assert len(concluded) == 4  # the end of each
    assert concluded.done.tolist() == [True, False, True, False]


def test_the_word_of_the_judge_of_then_is_no_truth():
    session = episode(0, "success", range(10, 13), kind="online")
    with pytest.raises(ConfigError, match="not one frame whose truth is known"):
        judged_store(FirstPixel(), [session])
    spoken = replace(session, metadata={**session.metadata, "verdict": {"word": "done", "was": "success"}})
    judged, stream = judged_store(FirstPixel(), [session, spoken, episode(1, "success", range(10, 13), kind=None)])
    assert (judged.done.sum(), len(set(judged.episode.tolist())), stream.done) == (6, 2, 0)


def test_of_a_success_from_home_only_the_end_is_known_and_nothing_of_one_that_the_referee_denies():
    seen = {"from_home": {"judged": "failure", "tried": 0.9, "undone": 0.0}}
    by_a_person = {"verdict": {"word": "done", "was": "success"}}
    for truth, said, known, done in ((None, by_a_person, 3, 3), (True, {}, 3, 3), (False, {}, 13, 0)):
        judged, _ = judged_store(FirstPixel(), [episode(0, "success", [], truth=truth, kind="online", **seen, **said)])
        assert (len(judged), judged.done.sum()) == (known, done)


def test_a_stream_then_and_now():
    online = [
        episode(0, "success", [11, 12], truth=True, kind="online"),
        episode(1, "success", [12], truth=False, kind="online"),
        episode(2, "failure", [5, 6], truth=False, kind="online"),
        episode(3, "failure", [], truth=True, kind="online"),
        episode(4, "success", [11, 12], kind="online"),  # no referee
        episode(5, "success", [11, 12], truth=True),  # no session
        episode(6, "unknown", [11, 12], truth=False, kind="online"),
    ]
    then = recorded_stream(describe(one) for one in online)
    assert then == StreamErrors(done=2, false_done=1, not_done=2, false_not_done=1)
    assert judged_store(FirstPixel(), online)[1] == StreamErrors(3, 2, 2, 1)
    assert judged_store(AtTheEnd(), online[:2])[1] == StreamErrors(2, 1, 0, 0)
    assert look_at(FirstPixel(), online[2]).stop == 6


def test_shares_have_exact_intervals():
    figures = StreamErrors(20, 0, 4, 1).figures()
    assert figures["false_done_share"] == pytest.approx([0.0, 0.0, 1 - 0.025 ** (1 / 20)])
    assert figures["false_not_done_share"] == pytest.approx([0.25, 0.0063, 0.8059], abs=1e-4)
    assert StreamErrors(0, 0, 4, 4).figures()["false_done_share"] is None
    assert StreamErrors(4, 1, 0, 0).words() == (
        "1 of 4 called done were not (25.0 %, 0.6 to 80.6), 0 of 0 called not done were"
    )


@pytest.fixture
def folder(tmp_path):
    """Two episodes of one task and one of another, pictures of 20x20 whose whole is as bright as their label says."""
    entries = []
    for name, task, labels in (
        ("a", "put it in", ["not_done", "unclear", "done"]),
        ("b", "put it in", ["not_done", "not_done"]),
        ("c", "fold it", ["done"]),
    ):
        for number, label in enumerate(labels):
            value = {"done": 204, "not_done": 51, "unclear": 128}[label]
            Image.fromarray(np.full((20, 20, 3), value, np.uint8)).save(tmp_path / f"{name}{number}.png")
            entries.append({"file": f"{name}{number}.png", "task": task, "instruction": task, "episode": name,
                            "frame": 4 * number, "label": label, "outcome": "?"})  # fmt: skip
    (tmp_path / "frames.json").write_text(json.dumps(entries[::-1]))
    return tmp_path


def test_labelled_pictures(folder):
    pictures = read_pictures(folder)
    assert [one.episode for one in pictures] == ["c", "a", "a", "a", "b", "b"]
    assert pictures[1].image().shape == (20, 20, 3)
    judged = judged_pictures(FirstPixel(), pictures, SPEC, ["put it in"])
    assert judged.done.tolist() == [False, True, False, False]
    assert judged.above.tolist() == judged.done.tolist()
    assert judged.groups["kind"].tolist() == ["success", "success", "failure", "failure"]
    with pytest.raises(ConfigError, match=r"has an instruction .*'lift it'.*'fold it', 'put it in'"):
        judged_pictures(FirstPixel(), pictures, SPEC, ["lift it"])
    with pytest.raises(ConfigError, match="judges single pictures"):
        judged_pictures(AtTheEnd(), pictures, SPEC, ["put it in"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": "perhaps"}, "label 'perhaps' of record 0"),
        ({"file": "../elsewhere.png"}, "outside the folder"),
        ({"file": "none.png"}, "names 1 files that are not there"),
        ({"frame": None}, "no list of labelled pictures"),
    ],
)
def test_wrong_records_are_named(change, said, folder):
    entries = json.loads((folder / "frames.json").read_text())
    (folder / "frames.json").write_text(json.dumps([entries[0] | change]))
    with pytest.raises(ConfigError, match=said):
        read_pictures(folder)


def test_a_folder_without_a_list_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no frames\.json"):
        read_pictures(tmp_path)
    (tmp_path / "frames.json").write_text('{"frames": []}')
    with pytest.raises(ConfigError, match="it is no list"):
        read_pictures(tmp_path)


def test_a_record_without_an_entry_and_an_empty_list_are_named(folder):
    index = folder / "frames.json"
    entry = json.loads(index.read_text())[0]
    index.write_text(json.dumps([{key: value for key, value in entry.items() if key != "label"}]))
    with pytest.raises(ConfigError, match=r"A record of .* has no 'label'"):
        read_pictures(folder)
    index.write_text("[]")
    with pytest.raises(ConfigError, match="lists no pictures"):
        read_pictures(folder)


@pytest.mark.parametrize("keep", [0, 60])
def test_a_damaged_picture_is_named(keep, folder):
    whole = (folder / "a0.png").read_bytes()
    (folder / "a0.png").write_bytes(whole[:keep] or b"no picture")
    picture = next(one for one in read_pictures(folder) if one.file.name == "a0.png")
    with pytest.raises(ConfigError, match=r"a0\.png is no picture that can be read: .* Replace it"):
        picture.image()
