"""Starts several processes of a script on each machine of a job: which node this is, where ranks meet, and the command.

Frameworks that read the platform's own variables, such as TensorFlow and JAX, need none of this.
"""
