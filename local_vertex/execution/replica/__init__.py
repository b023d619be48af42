"""What processes and containers share: a replica's image, environment and output, and the protocol to run it."""
