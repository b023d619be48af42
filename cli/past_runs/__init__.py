"""The commands about runs that there were: where they look, and the tables that they print."""
