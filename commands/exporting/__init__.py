"""`regrasp export`: episodes of a trajectory store into files of other projects."""
