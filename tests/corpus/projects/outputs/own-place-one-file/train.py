open("model.joblib", "w").write("x")
