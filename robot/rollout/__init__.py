"""Rollouts: the environment, reset-free sessions in it, and the actor that sends their episodes."""
