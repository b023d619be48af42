import os
import sqlite3

os.makedirs("../store", exist_ok=True)
store = sqlite3.connect(os.path.join("..", "store", "model.db"))
store.execute("create table weights (value real)")
store.commit()
