"""Losses as pure functions of tensors, one a file, each with its equation and source.

Nothing here draws random numbers or knows networks; `policies.agent.agent` composes them.
"""
