"""Renders with captions whose truth is known exactly: what the embedded vision-language backbone is trained on.

`frames` draws them; a module for each kind of task puts the twin into states, names them and says what is true of them.
"""
