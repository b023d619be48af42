from mypkg.core import save

save()
