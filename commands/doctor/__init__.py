"""`regrasp doctor`: one file for each part of the machine and the arm that is checked."""
