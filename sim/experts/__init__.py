"""Parts of the scripted expert."""
