"""Layer archives: tar entries, compression, merging, and the cache of finished layers."""
