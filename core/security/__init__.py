"""What protects this machine and its secrets: git, masks, sources of secrets, private folders."""
