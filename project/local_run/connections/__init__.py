"""What a local run asks of the network, and in vain."""
