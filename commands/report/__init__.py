"""What a run was worth: the demo's HTML report and `regrasp compare`."""
