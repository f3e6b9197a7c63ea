"""Success models: a vision-language classifier on an open_clip backbone, calibrated and debounced.

Knows images and instructions, not devices.
"""
