open("traindata.txt", "w").write("1")
