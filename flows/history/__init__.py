"""The runs that there were: what Prefect, Vertex AI and the buckets know of them."""
