"""The command line `vertex-training`."""
