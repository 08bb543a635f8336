"""Members and children: who joins, who leaves, and which long work a child needs next. Pure."""
