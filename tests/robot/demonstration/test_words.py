"""What a key means when: every pair of phase and word, debouncing, several words in one breath."""

import itertools

import pytest

from robot.demonstration.words import Listener, Phase, Verdict, Word, meaning
from trajectories.errors import ConfigError

SECOND = 1_000_000_000
START, SUCCESS, FAILURE, STOP, DISCARD, UNDO = (
    Word.START, Word.SUCCESS, Word.FAILURE, Word.STOP, Word.DISCARD, Word.UNDO,
)  # fmt: skip
MEANINGS = {
    Phase.PREPARING: {STOP: Verdict.END, UNDO: Verdict.UNDO},
    Phase.WAITING: {START: Verdict.BEGIN, STOP: Verdict.END, DISCARD: Verdict.SKIP, UNDO: Verdict.UNDO},
    Phase.RECORDING: {SUCCESS: Verdict.SUCCEED, FAILURE: Verdict.FAIL, STOP: Verdict.ASK, DISCARD: Verdict.DROP},
    Phase.ASKING: {SUCCESS: Verdict.SUCCEED, FAILURE: Verdict.FAIL, STOP: Verdict.KEEP, DISCARD: Verdict.DROP},
}


@pytest.mark.parametrize(("phase", "word"), list(itertools.product(Phase, Word)))
def test_every_word_in_every_phase(phase, word):
    assert meaning(phase, word) is MEANINGS[phase].get(word)
    expected = MEANINGS[phase].get(word)
    assert Listener().hear(phase, [word], 0) == (expected, [] if expected else [word])


def test_nothing_that_a_person_kept_is_ever_lost_by_a_word_that_begins_or_marks():
    """Only undo removes, only discard drops; neither means anything where the other does."""
    for phase in Phase:
        meanings = [meaning(phase, word) for word in Word]
        assert not {Verdict.UNDO, Verdict.DROP} <= set(meanings)
        assert all(meaning(phase, word) is not Verdict.UNDO for word in Word if word is not UNDO)
        assert all(meaning(phase, word) is not Verdict.DROP for word in Word if word is not DISCARD)


def test_a_key_that_bounces_or_repeats_counts_once_however_long_it_is_held():
    listener = Listener(0.5)
    assert listener.hear(Phase.WAITING, [UNDO, UNDO], 0) == (Verdict.UNDO, [])
    for moment in range(1, 20):  # held for almost four seconds
        assert listener.hear(Phase.WAITING, [UNDO], moment * SECOND // 5) == (None, [])
    assert listener.hear(Phase.WAITING, [UNDO], 19 * SECOND // 5 + SECOND // 2) == (Verdict.UNDO, [])


def test_a_second_press_does_not_hit_the_next_question():
    listener = Listener(0.5)
    assert listener.hear(Phase.RECORDING, [STOP], 0) == (Verdict.ASK, [])
    assert listener.hear(Phase.ASKING, [STOP], SECOND // 5) == (None, [])
    assert listener.hear(Phase.ASKING, [STOP], SECOND) == (Verdict.KEEP, [])


def test_the_first_verdict_wins_and_the_rest_of_the_breath_is_dropped():
    listener = Listener(0.5)
    assert listener.hear(Phase.RECORDING, [UNDO, FAILURE, SUCCESS, START], 0) == (Verdict.FAIL, [UNDO])
    assert listener.hear(Phase.WAITING, [START], SECOND // 4) == (None, [])  # said in the breath before
    assert listener.hear(Phase.WAITING, [START], SECOND) == (Verdict.BEGIN, [])


def test_different_words_do_not_debounce_each_other():
    listener = Listener(0.5)
    assert listener.hear(Phase.WAITING, [UNDO], 0)[0] is Verdict.UNDO
    assert listener.hear(Phase.WAITING, [START], 1)[0] is Verdict.BEGIN


@pytest.mark.parametrize("pause", [0.0, -1.0, float("nan"), float("inf")])
def test_a_pause_must_be_positive(pause):
    with pytest.raises(ConfigError, match="debounce_s"):
        Listener(pause)
