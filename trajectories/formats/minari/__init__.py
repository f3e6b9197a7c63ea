"""Minari's data sets (https://minari.farama.org), HDF5 storage."""
