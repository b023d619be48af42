"""Collections of resources besides custom jobs: pipelines, persistent resources, operations, locations, entries."""
