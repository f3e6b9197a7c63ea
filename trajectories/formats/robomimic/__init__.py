"""robomimic's HDF5 files (https://robomimic.github.io): one group a demonstration under `data`, masks beside it."""
