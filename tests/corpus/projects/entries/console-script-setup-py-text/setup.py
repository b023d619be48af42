from setuptools import find_packages, setup

setup(name="forecast", version="0.1", packages=find_packages(), entry_points="""
    [console_scripts]
    forecast-train = forecast.cli:main [gpu]
    """)
