"""The MuJoCo twin behind the same interfaces as the arm: model, scenes, tasks, scripted experts, cameras.

Physics predicates (where the object really is) serve evaluation, resets and scripted experts only.
"""
