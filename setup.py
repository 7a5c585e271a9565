"""Packaging. What is needed at run time is in requirements.txt, and nowhere else."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def requirements(name: str) -> list[str]:
    lines = (HERE / name).read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


version = re.search(
    r'^__version__ = "(.+)"$', (HERE / "lakefs_client/_version.py").read_text("utf-8"), re.MULTILINE
)
assert version is not None

setup(
    name="lakefs_client",
    version=version[1],
    description="Client of lakeFS: typed, small, and with uploads of any size over presigned URLs",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=find_packages(include=["lakefs_client", "lakefs_client.*"]),
    package_data={"lakefs_client": ["py.typed", "cli/completions/*", "sandbox/openapi.json"]},
    install_requires=requirements("requirements.txt"),
    extras_require={
        "aws": ["botocore>=1.34.63"],
        "cli": ["PyYAML>=6.0", "tqdm>=4.66"],
        "dask": ["distributed>=2024.1"],
        "dev": requirements("test-requirements.txt"),
        "fsspec": ["fsspec>=2024.2"],
        "s3": ["boto3>=1.36"],
        "yaml": ["PyYAML>=6.0"],
    },
    entry_points={
        "console_scripts": ["lakefs-client = lakefs_client.cli:main"],
        "fsspec.specs": ["lakefs = lakefs_client.fs.registered:LakeFSFileSystem"],
        "pytest11": ["lakefs_client = lakefs_client.sandbox.plugin"],
    },
    classifiers=[
        "Development Status :: 5 - Production/Stable",
        "Intended Audience :: Developers",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Typing :: Typed",
    ],
)
