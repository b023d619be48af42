import urllib.request

urllib.request.urlretrieve("http://data.invalid/digits/train.zip?signature=1", "train.zip")
