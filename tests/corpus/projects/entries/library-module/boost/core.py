class Booster:
    pass
