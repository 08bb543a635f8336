"""Talking to Kubernetes API servers: the management plane and the children. Nothing else in Atoll writes to them."""
