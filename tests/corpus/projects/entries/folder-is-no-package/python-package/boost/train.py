from .core import Booster


def train(params):
    return Booster(params)


train({})
