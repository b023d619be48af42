"""Rules for the fields of requests: limits, machines, labels, times; and the values that the service fills in."""
