"""The settings of a verb: which it reads, what they are by default, of what type, and what they mean."""
