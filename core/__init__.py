"""What every engine shares: the error tree, retries, the folders on disk. Knows no Prefect."""
