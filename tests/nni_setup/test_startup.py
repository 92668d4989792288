"""What each start of this environment's Python sets, what it leaves, and what the preload changes."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from nni_setup.startup import PRELOAD, node_option, prepare
from tests.nni_server import NNICTL, PROJECT

NODE = next(Path(sys.prefix).glob("lib/python*/site-packages/nni_node/node"), None)
LISTEN = """
const server = require('net').createServer().listen(0, () => {
  console.log(JSON.stringify([server.address().address, process.env.FACE_MASK_NNI_PRELOAD || null]));
  server.close();
});
"""
needs_node = pytest.mark.skipif(NODE is None, reason="NNI, and the Node that it carries, is not installed")


def listens_on(script: Path, options: str) -> list:
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(LISTEN)
    environ = {**os.environ, "NODE_OPTIONS": options}
    environ.pop("FACE_MASK_NNI_PRELOAD", None)
    return json.loads(subprocess.run([NODE, script], env=environ, capture_output=True, check=True).stdout)


@needs_node
def test_only_nnis_manager_is_changed(tmp_path):
    option = node_option(PRELOAD)
    assert listens_on(tmp_path / "nni_node" / "main.js", option) == ["127.0.0.1", "1"]
    assert listens_on(tmp_path / "foreign" / "main.js", option) in (["::", None], ["0.0.0.0", None])
    assert listens_on(tmp_path / "nni_node" / "other.js", option) in (["::", None], ["0.0.0.0", None])


@needs_node
@pytest.mark.parametrize("name", ["a space", "quotes \"two\" 'one'", "back\\slash", "é 面"])
def test_any_path_of_the_preload_is_read_by_node(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    preload = shutil.copy(PRELOAD, folder)
    for part in ("icons.js", "manager.js", "again.js", "access.js"):
        shutil.copy(Path(PRELOAD).with_name(part), folder)
    assert listens_on(tmp_path / "nni_node" / "main.js", node_option(str(preload))) == ["127.0.0.1", "1"]


@needs_node
@pytest.mark.parametrize(
    "call",
    [
        "PORT",
        "PORT, 511",
        "'PORT'",
        "PORT, '0.0.0.0'",
        "{port: PORT}",
        "{port: PORT, host: '::'}",
        "PORT, undefined",
    ],
)
def test_every_way_to_listen_stays_on_this_machine(tmp_path, call):
    script = tmp_path / "nni_node" / "main.js"
    script.parent.mkdir()
    script.write_text(
        f"const s = require('http').createServer().listen({call.replace('PORT', '0')});"
        "s.on('listening', () => { console.log(s.address().address); s.close(); });"
    )
    environ = {**os.environ, "NODE_OPTIONS": node_option(PRELOAD)}
    done = subprocess.run([NODE, script], env=environ, capture_output=True, text=True, timeout=20)
    assert done.stdout.strip() == "127.0.0.1", done.stderr


SERVE = """
const http = require('http');
const get = (port, path) => new Promise(done => http.get({ port, path, host: '127.0.0.1', agent: false }, answer => {
  let text = '';
  answer.setEncoding('utf8').on('data', part => { text += part; }).on('end', () => done(text));
}));
const server = http.createServer((_, response) => response.end('the app')).listen(0, async () => {
  const texts = await Promise.all(process.argv.slice(2).map(path => get(server.address().port, path)));
  console.log(JSON.stringify(texts));
  server.close();
});
"""


@pytest.fixture(scope="module")
def styles(tmp_path_factory):
    """The styles of NNI's page, as a manager in a folder with NNI's own page serves them, and other answers."""
    if NODE is None:
        pytest.skip("NNI, and the Node that it carries, is not installed")
    folder = tmp_path_factory.mktemp("page") / "nni_node"
    folder.mkdir()
    (folder / "static").symlink_to(NODE.parent / "static")
    (folder / "main.js").write_text(SERVE)
    name = next(NODE.parent.glob("static/static/css/main.*.css")).name
    asked = [f"/static/css/{name}", "/static/css/main.0.css", "/static/css/..%2Fmain.js", f"/x/{name}"]
    environ = {**os.environ, "NODE_OPTIONS": node_option(PRELOAD)}
    done = subprocess.run([NODE, folder / "main.js", *asked], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    own, *others = json.loads(done.stdout)
    assert others[0] == others[2] == "the app"
    assert "its path leaves its folder" in others[1]
    assert own.startswith((NODE.parent / "static" / "static" / "css" / name).read_text())
    return own


def test_the_page_needs_no_font_of_the_internets(styles):
    """Each icon that NNI's page names in its sources has a glyph of the font that the page carries itself."""
    (font,) = re.findall(r'@font-face { font-family: "page-codicons"; src: url\("(.+?)"\)', styles)
    path = NODE.parent / "static" / "static" / "css" / font
    assert path.read_bytes()[:4] == b"\0\1\0\0"  # TrueType
    ours = {name.lower() for name in re.findall(r'i\[data-icon-name="(\w+)" i\]::before', styles)}
    sources = [json.loads(file.read_text()) for file in NODE.parent.glob("static/static/js/*.map")]
    texts = [
        text
        for source in sources
        for name, text in zip(source["sources"], source.get("sourcesContent") or [], strict=False)
        if "node_modules" not in name
    ]
    named = {
        n for text in texts for n in re.findall(r"""(?:icon|iconName|itemIcon)[=:] ?{?['"](\w+)['"]""", text)
    }
    assert {"StatusCircleBlock", "Edit", "HomeGroup"} <= named
    assert not {name for name in named if name.lower() not in ours}


def test_what_a_person_has_set_is_kept():
    environ = {
        "NODE_OPTIONS": "--max-old-space-size=100",
        "PATH": "/usr/bin",
        "NO_ALBUMENTATIONS_UPDATE": "0",
    }
    prepare(environ, sys.prefix)
    assert environ["NODE_OPTIONS"] == f"--max-old-space-size=100 {node_option(PRELOAD)}"
    assert environ["PATH"] == os.pathsep.join([f"{sys.prefix}/bin", "/usr/bin"])
    assert environ["NO_ALBUMENTATIONS_UPDATE"] == "0"
    once = dict(environ)
    prepare(environ, sys.prefix)
    assert environ == once, "a child's start must not add it again"


def test_nnictl_reaches_its_manager_past_a_proxy():
    environ = {"https_proxy": "http://proxy:3128", "PATH": "/usr/bin"}
    prepare(environ, sys.prefix)
    assert "no_proxy" not in environ
    environ |= {"HTTP_PROXY": "http://proxy:3128", "no_proxy": "intranet"}
    prepare(environ, sys.prefix)
    assert environ["no_proxy"] == "intranet,localhost,127.0.0.1"
    assert environ["NO_PROXY"] == "localhost,127.0.0.1"


def test_nothing_is_set_when_the_preload_is_gone(tmp_path):
    environ: dict[str, str] = {}
    prepare(environ, sys.prefix, str(tmp_path / "preload.js"))
    assert "NODE_OPTIONS" not in environ


@pytest.mark.parametrize("gone", ["preload.js", "startup.py", ""])
def test_python_starts_in_a_project_that_lost_its_files(tmp_path, gone):
    """The installed line, in a small environment of its own with the project's files around it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    site = next(tmp_path.glob(".venv/lib/python*/site-packages"))
    shutil.copy(PROJECT / "nni_setup" / "startup.pth", site)
    if gone:
        (tmp_path / "nni_setup").mkdir()
        for name in {"preload.js", "startup.py"} - {gone}:
            shutil.copy(PROJECT / "nni_setup" / name, tmp_path / "nni_setup")
    moved = tmp_path.rename(tmp_path.with_name(tmp_path.name + " moved"))
    environ = {name: value for name, value in os.environ.items() if name != "NODE_OPTIONS"}
    done = subprocess.run(
        [moved / ".venv/bin/python", "-W", "error", "-c", "import os; print(os.environ.get('NODE_OPTIONS'))"],
        env=environ,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("None\n", "", 0)


@needs_node
def test_nnictl_prints_its_own_words_only():
    done = subprocess.run([sys.executable, NNICTL, "--version"], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == (version("nni"), "")


def test_this_environment_has_the_line():
    asked = "import os; print(os.environ['NODE_OPTIONS'], os.environ['PATH'].split(os.pathsep)[0], sep='|')"
    done = subprocess.run(
        [sys.executable, "-c", asked], env={"PATH": "/usr/bin"}, capture_output=True, text=True
    )
    options, first = done.stdout.strip().split("|")
    assert options == node_option(PRELOAD)
    assert first == f"{sys.prefix}/bin"
