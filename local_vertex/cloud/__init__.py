"""Google's hosts on this machine: a proxy that ends TLS for them, and a metadata server, for clients as they are."""
