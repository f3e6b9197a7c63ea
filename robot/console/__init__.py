"""The console: what people beside the arm see of a session and say to it."""
