"""The API over REST: the HTTP server, paths, bodies, and partial responses."""
