"""Data sets with flat observations, as offline reinforcement learning shares them: whole episodes, and D4RL's HDF5."""
