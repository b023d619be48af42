"""How far long work is, for whoever wants to show it."""
