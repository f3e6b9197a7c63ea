"""`regrasp bench`: methods beside each other on environments with data of their own."""
