from pathlib import Path

from setuptools import setup

setup(name="demo", version="0", install_requires=Path("requirements/base.txt").read_text().split(), py_modules=[])
