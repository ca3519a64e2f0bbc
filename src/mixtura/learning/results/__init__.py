"""What a learner returns, and what is asked of it afterwards."""
