"""Scenes of the twin: furniture, objects and looks, and their MuJoCo model."""
