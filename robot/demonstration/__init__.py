"""Demonstrations: a person does the task by teleoperation, and it is recorded."""
