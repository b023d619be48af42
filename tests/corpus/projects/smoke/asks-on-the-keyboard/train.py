input("Start? ")
