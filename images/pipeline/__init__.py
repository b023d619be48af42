"""Making and uploading layers side by side, with bounded concurrency."""
