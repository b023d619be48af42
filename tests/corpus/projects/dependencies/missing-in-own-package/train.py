import pkg.model
