"""Connections to other machines: TLS, proxies, and the addresses that are refused."""
