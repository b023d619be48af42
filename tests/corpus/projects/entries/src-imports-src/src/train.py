from src.util import save

save()
