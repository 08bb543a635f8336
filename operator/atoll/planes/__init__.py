"""Real Kubernetes control planes as processes."""
