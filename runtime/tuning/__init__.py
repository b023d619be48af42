"""Reports the metric of a tuning job's trial, which the script prints, in the file that Vertex AI's tuning reads."""
