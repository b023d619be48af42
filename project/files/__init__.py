"""Which files belong to the project, what they hold, and their fingerprint."""
