"""Hydra settings of training on Gymnasium environments: a root of its own, where `method` is a name, not a group."""
