"""The script's local run: environment, process, memory, and why it failed."""
