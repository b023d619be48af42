"""A run with a fall-back list: its places, what they need, and the loop over them."""
