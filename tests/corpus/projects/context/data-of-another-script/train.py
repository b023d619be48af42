print(open("traindata.txt").read())
