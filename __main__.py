"""`python -m prefect_vertex_training` is the command `vertex-training`."""

from .cli.main import main

if __name__ == "__main__":
    main()
