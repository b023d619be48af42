print(open("data/raw/a.txt").read())
