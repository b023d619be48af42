"""What a training job costs: prices, an hour's rate, an estimate."""
