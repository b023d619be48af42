"""Fixtures for all tests; each file under tests/fixtures/ brings one real part."""
