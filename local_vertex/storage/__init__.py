"""Cloud Storage on this machine: its JSON API, and what clients use of its XML API, over the folders of the buckets."""
