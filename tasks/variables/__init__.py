"""Variables of a job whose values are read when a run needs them."""
