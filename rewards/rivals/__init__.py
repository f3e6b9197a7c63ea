"""Published success judges beside the project's own, each a `rewards.kind.RewardKind` with its paper's values.

They share frames, cross-validation, calibration, threshold, certificate and debouncing with the classifier; a rival is
a score of a frame (`scorer.py`), and `kind.py` makes a judge of it.
"""
