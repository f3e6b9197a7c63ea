"""What the learner's benchmark compares with: `plain` PyTorch updates, and the `arithmetic` none can do without."""
