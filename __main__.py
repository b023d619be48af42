"""`python -m prefect_vertex_training` is the command `vertex-training`."""

from .cli.program import program

if __name__ == "__main__":
    program()
