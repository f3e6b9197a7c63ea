"""Training on any Gymnasium environment with a state and continuous actions: from a data set, then online.

The doors to what others compare on: D4RL and Minari data, environments by their Gymnasium id, methods by name.
"""
