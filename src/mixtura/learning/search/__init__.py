"""The search for the best optimum: many starts, a race, and moves from the best."""
