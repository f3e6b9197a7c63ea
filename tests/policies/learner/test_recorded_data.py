"""What the texts of the target task mean."""

from dataclasses import replace

from helpers.blob_world import SPEC, demos

from policies.learner.recorded_data import RecordedData
from trajectories.store import TrajectoryStore


def test_a_text_means_the_direction_that_it_was_recorded_or_is_known_for_unless_it_means_both(tmp_path):
    said = [("forward", "move it"), ("forward", "over there"), ("backward", "move it"), ("backward", "and back")]
    with TrajectoryStore(tmp_path / "store", SPEC) as store:
        for episode, (direction, words) in zip(demos(4, seed=1), said, strict=True):
            store.commit(replace(episode, task="red_disc", direction=direction, instruction=words))
        wordings = {"forward": ["go", "turn"], "backward": ["return", "turn"]}
        mine, other = (RecordedData([store], task, wordings).meanings for task in ("red_disc", "blue_disc"))
    assert mine == {"forward": ["go", "over there"], "backward": ["and back", "return"]}
    assert other == {"forward": ["go"], "backward": ["return"]}
