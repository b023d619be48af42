"""What a local run asks of the network and does not reach."""
