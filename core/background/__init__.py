"""Servers that outlive the command that starts them: their start, and the locks that tell whether they live."""
