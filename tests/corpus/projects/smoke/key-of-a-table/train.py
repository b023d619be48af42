table = {}
print(table["PRICE"])
