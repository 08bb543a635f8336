"""What a fleet is, and the one decision about it. Pure: no await, no clock, no client."""
