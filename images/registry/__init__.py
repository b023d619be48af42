"""Client of the OCI distribution API: transport, authentication, uploads."""
