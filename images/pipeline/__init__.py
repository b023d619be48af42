"""Making and uploading layers concurrently, with a limited number of threads."""
