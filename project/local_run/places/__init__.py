"""Where a local run finds its data and saves what it writes."""
