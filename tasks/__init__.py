"""The road's steps as Prefect tasks, one module each."""
