from setuptools import setup

REQUIRED = ["acme-tools==1.0"]
setup(name="demo", version="0", install_requires=REQUIRED, py_modules=[])
