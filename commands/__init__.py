"""One file a verb of the `regrasp` command line; the only room that knows all the others."""
