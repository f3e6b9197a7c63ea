"""`regrasp evaluate`: success rates of a policy, judged by predicate, reward model or person."""
