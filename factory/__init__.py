"""How robots, reward models, policies, specifications and tasks are made from a person's settings.

The verbs in `commands` ask here for what they run; nothing here knows a verb.
"""
