import urllib.request


def load(name):
    try:
        return urllib.request.urlopen(f"http://hub.invalid/{name}/config.json")
    except OSError as error:
        raise RuntimeError(f"{name} is neither in the cache nor on the hub") from error


load("model")
