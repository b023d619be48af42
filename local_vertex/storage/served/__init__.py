"""The calls of the API: what a request asks for, and its answer."""
