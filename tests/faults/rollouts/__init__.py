"""The lane for rollouts: small fleets breadth first, and long sequences of whatever may happen, on the real planner."""
