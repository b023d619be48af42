NAME = "trained"
