"""What becomes of machines: the life of a host, who may claim it, and what a probe means. Pure."""
