"""The commands of `vertex-training`, one module each; each is imported when it is called or its help is shown."""
