from options import parse

parse()
