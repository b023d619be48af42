"""From any list of what is installed to one that installs on linux/amd64: read, plan, build, translate, report."""
