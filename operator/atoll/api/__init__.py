"""The kinds as users write them, and everything that is generated from them."""
