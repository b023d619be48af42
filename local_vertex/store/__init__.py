"""Jobs and log entries in SQLite."""
