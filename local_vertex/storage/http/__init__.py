"""HTTP for the storage server: requests, answers, connections."""
