"""Two network namespaces, what their wire does, and a count of what came over it."""
