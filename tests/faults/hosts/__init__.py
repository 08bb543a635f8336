"""Breaking hosts on purpose: each fault ends converged, or in a named safe state until the outside world is mended."""
