version = "9.0"
