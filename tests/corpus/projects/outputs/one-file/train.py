open("model.joblib", "w").write("trained")
