class Booster:
    def __init__(self, params):
        self.params = params
