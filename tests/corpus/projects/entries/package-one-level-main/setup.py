from setuptools import find_packages, setup

setup(name="mypkg", version="0.1", packages=find_packages())
