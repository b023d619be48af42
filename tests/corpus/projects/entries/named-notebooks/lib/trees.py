class Tree:
    pass
