"""Packaging. What is needed at run time is in requirements.txt, and nowhere else.

Wheel and sdist are the same bytes whenever and wherever they are built, if SOURCE_DATE_EPOCH is
set. The wheel has a bill of materials (PEP 770).
"""

import gzip
import io
import json
import os
import re
import tarfile
from pathlib import Path
from typing import Any

from setuptools import find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.sdist import sdist

HERE = Path(__file__).parent


class Wheel(bdist_wheel):
    """A wheel with a bill of materials in ``.dist-info/sboms``."""

    def write_wheelfile(self, wheelfile_base: str, *args: Any, **options: Any) -> None:
        """Write the bill of materials beside the metadata, and set every file's mode."""
        super().write_wheelfile(wheelfile_base, *args, **options)
        folder = Path(wheelfile_base) / "sboms"
        folder.mkdir(exist_ok=True)
        text = json.dumps(bill_of_materials(), indent=1)
        (folder / "lakefs_client.cdx.json").write_text(text + "\n", "utf-8")
        for path in Path(self.bdist_dir).rglob("*"):  # whatever the umask was
            path.chmod(0o755 if path.is_dir() else 0o644)


class SourceArchive(sdist):
    """An sdist whose bytes depend on its files and SOURCE_DATE_EPOCH alone."""

    def make_archive(self, base_name: str, format: str, *args: Any, **options: Any) -> str:
        """Make the archive again: without times, owners and the order of the file system."""
        path: str = super().make_archive(base_name, format, *args, **options)
        moment = os.environ.get("SOURCE_DATE_EPOCH")
        if moment is None or format != "gztar":
            return path
        with tarfile.open(path) as archive:
            members = {
                member.name: (member, file.read() if (file := archive.extractfile(member)) else b"")
                for member in archive.getmembers()
            }
        with (
            open(path, "wb") as raw,
            gzip.GzipFile("", "wb", fileobj=raw, mtime=int(moment)) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for _, (member, data) in sorted(members.items()):
                member.mtime, member.pax_headers = int(moment), {}
                member.uid = member.gid = 0
                member.uname = member.gname = ""
                member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
                archive.addfile(member, io.BytesIO(data))
        return path


def bill_of_materials() -> dict[str, Any]:
    """Return the package and what it requires, in the form of CycloneDX 1.6."""
    package = f"pkg:pypi/lakefs-client@{VERSION}"
    required = [re.split("[^A-Za-z0-9-]", line)[0] for line in requirements("requirements.txt")]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": package,
                "name": "lakefs_client",
                "version": VERSION,
                "purl": package,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        # The wheel holds no code of these; pip installs them.
        "components": [
            {
                "type": "library",
                "bom-ref": f"pkg:pypi/{name}",
                "name": name,
                "purl": f"pkg:pypi/{name}",
                "scope": "required",
            }
            for name in required
        ],
        "dependencies": [
            {"ref": package, "dependsOn": [f"pkg:pypi/{name}" for name in required]},
            *({"ref": f"pkg:pypi/{name}"} for name in required),
        ],
    }


def requirements(name: str) -> list[str]:
    lines = (HERE / name).read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


version = re.search(
    r'^__version__ = "(.+)"$', (HERE / "lakefs_client/_version.py").read_text("utf-8"), re.MULTILINE
)
assert version is not None
VERSION = version[1]

setup(
    name="lakefs_client",
    version=VERSION,
    cmdclass={"bdist_wheel": Wheel, "sdist": SourceArchive},
    description="Client of lakeFS: typed, small, and with uploads of any size over presigned URLs",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    keywords=[
        "lakefs",
        "data lake",
        "data versioning",
        "object storage",
        "s3",
        "presigned url",
        "multipart upload",
        "fsspec",
    ],
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
        "fsspec": ["fsspec>=2025.2"],
        "otel": ["opentelemetry-api>=1.23"],
        "progress": ["tqdm>=4.66"],
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
        "Programming Language :: Python :: 3.14",
        "Typing :: Typed",
    ],
)
