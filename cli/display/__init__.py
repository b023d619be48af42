"""What a person watches in a terminal while a command works: lines, and progress bars below them."""
