"""Networks, losses, algorithms (Cal-QL, WSRL, RoboFuME), replay, checkpoints and the learner.

Knows episodes and tensors, not devices.
"""
