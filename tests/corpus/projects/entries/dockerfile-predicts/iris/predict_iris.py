print("species")
