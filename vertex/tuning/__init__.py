"""Vertex AI's tuning service: a HyperparameterTuningJob in place of one job for each trial."""
