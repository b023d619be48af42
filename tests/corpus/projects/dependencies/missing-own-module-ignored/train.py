import data.loader
