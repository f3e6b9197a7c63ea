"""diffusion_policy's replay buffers (real-stanford/diffusion_policy, `common/replay_buffer.py`): Zarr, format 2."""
