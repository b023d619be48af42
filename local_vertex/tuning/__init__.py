"""Runs hyperparameter tuning jobs: proposes trials, makes their custom jobs, reads their metrics, ends bad ones."""
