from pathlib import Path

Path("model/model.pkl").write_text("new")
