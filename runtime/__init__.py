"""The program that starts the training script inside a job, for features that need code there.

An image has it at `/opt/vertex-training/runtime` only if the project uses such a feature. It is started by its path,
with the image's own Python, so it imports only the standard library and is valid from Python 3.7 on.
"""
