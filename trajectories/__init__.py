"""What every room shares: data types, errors, the Zarr trajectory store, labels and views of episodes.

Imports numpy and zarr only; nothing here knows a robot or a simulator, and only `trajectories.s3` a network.
"""
