"""The command line: one file per verb, none of them loaded before it is asked for."""
