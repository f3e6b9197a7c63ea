"""Looking at a running session and speaking to it: `regrasp watch` and `regrasp say`."""
