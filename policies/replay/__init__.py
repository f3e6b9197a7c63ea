"""Replay: transitions in memory, how they are drawn, mixed and kept in files."""
