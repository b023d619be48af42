"""The record of a finished job: model files and how they were made."""
