"""Breaking things on purpose: the operator is killed at every write and every effect, and must end the same."""
