"""Success models by kind (`registry.py`); the project's own is a vision-language classifier, calibrated and debounced.

Knows images and instructions, not devices.
"""
