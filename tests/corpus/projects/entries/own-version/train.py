import mypkg

mypkg.save(mypkg.__version__)
