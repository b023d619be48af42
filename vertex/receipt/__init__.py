"""What a successful job produced: the model's files with their checksums, and the receipt document beside them."""
