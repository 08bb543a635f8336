"""Machines over SSH: typed commands, facts and operations (pure), and the transport and journal that carry them."""
