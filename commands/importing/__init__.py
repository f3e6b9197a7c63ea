"""`regrasp import`: episodes of other projects into a trajectory store."""
