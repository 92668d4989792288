import re

import pytest

from common.machine import PROJECT
from tools.licences import LOCKS, PAGE, installed, is_strong_copyleft, locked


def test_the_page_lists_what_is_locked():
    rows = re.findall(r"^\| (\S+) \| (\S+) \| .+ \|$", PAGE.read_text(), re.M)
    assert dict(rows) | {"package": "version"} == locked() | {"package": "version"}, "make licences"


def test_every_installed_package_says_its_licence_and_none_is_under_the_gpl_only():
    packages = installed(locked())
    assert len(packages) > 50
    assert [one for one in packages if not one.licence or is_strong_copyleft(one.licence)] == []


@pytest.mark.parametrize(
    ("licence", "strong"),
    [
        ("MIT", False),
        ("AGPL-3.0-or-later", True),
        ("GPL-2.0-only", True),
        ("GNU General Public License v3 (GPLv3)", True),
        ("GNU Affero General Public License v3", True),
        ("LGPL-3.0-or-later", False),
        ("GNU Lesser General Public License v3 (LGPLv3)", False),
        ("MIT OR GPL-2.0-or-later", False),
        ("MIT AND GPL-2.0-or-later", True),
    ],
)
def test_a_licence_is_strong_copyleft_if_it_leaves_no_other_choice(licence, strong):
    assert is_strong_copyleft(licence) is strong


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_the_pins_versions_a_hash_for_each_package_and_no_address(lock):
    pins = (PROJECT / lock.replace(".lock", ".txt")).read_text()
    text = (PROJECT / lock).read_text()
    pinned = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", pins, re.M))
    versions = {name.lower(): version for name, version in locked().items()}
    assert pinned
    assert {n: versions[n.lower()] for n in pinned} == pinned
    blocks = re.split(r"\n(?=[a-z0-9])", text.lower())
    assert [block for block in blocks[1:] if "--hash=sha256:" not in block] == []
    assert "://" not in text
    assert "--index" not in text
