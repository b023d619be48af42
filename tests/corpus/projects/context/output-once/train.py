print("loading the data")
raise ValueError("no such column: age")
