"""The one loop of learning: methods, runs and why they stop."""
