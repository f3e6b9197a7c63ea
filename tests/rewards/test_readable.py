"""Texts that a tower can't read: unknown words, too long, too like their opposite."""

import pytest
import torch
from helpers.small_clip import NAME, small_clip

from rewards.backbone import load_backbone
from rewards.readable import recorded_wordings, require_readable
from rewards.vlm_kind import VlmKind
from sim.tasks import TASKS, find_task
from sim.tasks.held_out_wordings import HELD_OUT
from trajectories.errors import ConfigError
from trajectories.manifest import describe
from trajectories.types import DIRECTIONS

READ = {"pot_pick_place", "bin_weight", *(name for name in TASKS.own if TASKS[name].role == "prior")}
"""Tasks whose words the embedded tower has known from the first."""
LONG = "put the cube on the plate and then " * 12


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return load_backbone(NAME, str(small_clip(tmp_path_factory.mktemp("clip"))))


def goals(forward, backward):
    return {("own", "forward"): [forward], ("own", "backward"): [backward]}


def test_words_that_were_never_learned_are_the_same_to_the_embedded_tower(backbone):
    mug, key = backbone.encode_text(["put the mug into the drawer", "put the key into the drawer"])
    assert torch.equal(mug, key)
    assert backbone.unread_words("Put the mug, in the drawer") == ("mug", ",", "drawer")
    assert backbone.unread_words("put the sponge on the plate") == ()


@pytest.mark.parametrize(
    ("forward", "backward", "named"),
    [
        ("hang the towel", "wring the towel", r"never learned 'hang', 'towel' in 'hang the towel'"),
        ("put the mug into the drawer", "put the key into the drawer", "never learned 'mug', 'into', 'drawer'"),
        ("put the sponge into the bowl", "take the sponge out of the bowl", "never learned 'into'"),
        ("put the sponge in the bowl", "take the sponge from the bowl", r"opposite .*: the cosine .* is 0\.98"),
        ("把毛巾叠好", "把毛巾展开", "never learned '把毛巾叠好'"),
        (LONG, "put the cube on the mat", "too long for the text tower of 'embedded', which reads 24 tokens"),
    ],
)
def test_the_embedded_tower_refuses_what_it_can_not_read(backbone, forward, backward, named):
    with pytest.raises(ConfigError, match=named):
        require_readable(backbone, goals(forward, backward))


@pytest.mark.parametrize("is_that", ["", "that is "])
@pytest.mark.parametrize("verb", ["set", "put"])
def test_a_text_that_the_embedded_tower_takes_for_its_opposite_is_refused(backbone, verb, is_that):
    """Each way is read as the other one, so that nothing shows when they are compared."""
    forward = f"pick up the pot {is_that}in the sink and {verb} it on the rack"
    backward = f"pick up the pot {is_that}on the rack and {verb} it in the sink"
    for one, other in ((forward, backward), (backward, forward)):
        with pytest.raises(ConfigError, match=r"takes 'pick up .* for its opposite.*Leave out .*: say 'pick up"):
            require_readable(backbone, goals(one, other))
    require_readable(backbone, goals(f"pick up the pot and {verb} it on the rack", "put the pot in the sink"))
    require_readable(backbone, goals(forward.replace("pick up", "take"), backward.replace("pick up", "take")))


def test_the_weights_say_which_tasks_the_embedded_tower_reads(backbone):
    assert len(READ) == 10
    for name in TASKS.own:
        wordings = {(name, way): find_task(name).instructions[way] for way in DIRECTIONS}
        if any(backbone.unread_words(text) for texts in wordings.values() for text in texts):
            assert name not in READ
            with pytest.raises(ConfigError, match="never learned"):
                require_readable(backbone, wordings)
        else:
            require_readable(backbone, wordings)


def test_the_embedded_tower_reads_held_out_wordings_of_what_it_was_trained_on(backbone):
    for task in set(HELD_OUT) & READ:
        require_readable(backbone, {(task, direction): HELD_OUT[task][direction] for direction in DIRECTIONS})


def test_a_clip_reads_any_word_but_no_more_than_77_tokens(clip):
    assert clip.context == 77
    require_readable(clip, goals("hang the towel", "wring the towel"))
    assert not clip.cuts_off(" ".join(["cube"] * 75))
    assert clip.cuts_off(" ".join(["cube"] * 76))
    with pytest.raises(ConfigError, match="reads 77 tokens"):
        require_readable(clip, goals(LONG + "forward", LONG + "backward"))


def test_directions_that_a_clip_can_not_tell_apart_are_refused(clip):
    with pytest.raises(ConfigError, match=r"cosine of their embeddings is 1\.000, and more than 0\.99 is too much"):
        require_readable(clip, goals("hang the towel", "Hang the towel"))


def test_a_judge_is_refused_before_an_episode_is_read(spec, tmp_path):
    def episodes():
        raise AssertionError("read")
        yield

    instructions = {"forward": ["hang the towel"], "backward": ["wring the towel"]}
    with pytest.raises(ConfigError, match=r"never learned 'hang', 'towel' .* reward=clip"):
        VlmKind().train(episodes(), "own", instructions, spec, {}, tmp_path, lambda stage, share: None)


def test_recorded_wordings_are_those_of_all_episodes(episodes):
    found = recorded_wordings(describe(episode) for episode in episodes)
    assert found == {
        ("slide", "forward"): ["put the cube on the plate"],
        ("slide", "backward"): ["put the cube on the mat"],
    }
