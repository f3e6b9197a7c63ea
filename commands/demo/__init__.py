"""`regrasp demo`: the whole path in the twin, stage by stage."""
