"""A success classifier's figures from all frames in one batch: what judging one frame after the other must come to."""

import numpy as np

from rewards.calibration import sigmoid
from rewards.debounce import first_done
from rewards.evaluation import episode_figures, frame_figures


def evaluate_frames(classifier, views, instructions, labels, tasks, kinds, proprio=None):
    """`frame_figures` of N instants as of `SuccessClassifier.logits`, each with an instruction and the truth.

    With `proprio` (N, P), frames that may not count towards done are judged 0, as in a session.
    """
    logits = classifier.logits(views, instructions)
    counts = np.ones(len(logits), bool) if proprio is None else classifier.counts(proprio)
    before, after = np.where(counts, sigmoid(logits), 0.0), np.where(counts, classifier.calibration(logits), 0.0)
    above = counts & (after >= classifier.threshold.value)
    return frame_figures(labels, before, after, tasks, kinds, above)


def evaluate_episodes(classifier, episodes):
    """`episode_figures` of debounced decisions; episodes must go on for `classifier.frames` frames after success."""
    stops = []
    for episode in episodes:
        probabilities, _ = classifier.of_episode(episode)
        series = np.where(classifier.counts(episode.proprio), probabilities, -np.inf)
        stops.append((episode, first_done(series, classifier.threshold.value, classifier.frames)))
    return episode_figures(stops)
