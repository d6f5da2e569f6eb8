"""A page of a small network, and where browsers are, the page in one."""

import numpy as np
import pytest

from din_jax.download import cache_folder
from din_jax.inference.bank import StyleBank
from din_jax.inference.stylizer import Stylizer
from din_jax.tools import page, web_runtime
from tests.export.models import export_quickly, small_model

from .browser import Page, chromed, serving

SIDE = 64  # px, of the drawn contents


def drawn(rows, columns, seed=0):
    """Waves of every color; uint8 [rows, columns, 3]."""
    rng = np.random.default_rng(seed)
    waves = np.cumsum(rng.standard_normal((rows, columns, 3)), 1)
    return np.rint(127.5 + 127.5 * np.sin(0.4 * waves)).astype(np.uint8)


@pytest.fixture(scope="session")
def stylizer():
    """The engine of a small network with three styles in its bank."""
    loaded = small_model(net_scale=3.0)  # styles differ by many levels
    bank = StyleBank(loaded.fingerprint, "small")
    stylizer = Stylizer(loaded, bank=bank, bucket=0)
    for seed, name in enumerate(("waves", "dots", "glass")):
        style = drawn(40, 44, 5 + seed)
        bank.add(name, stylizer.encode_style(style), style)
    return stylizer


@pytest.fixture(scope="session")
def exported(stylizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    return export_quickly(stylizer.engine.loaded, folder, stylizer.bank)


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """A folder with as much of the npm package as the command looks at; no code that runs."""
    folder = tmp_path_factory.mktemp("package")
    for name in web_runtime.FILES:
        (folder / "dist").mkdir(exist_ok=True)
        (folder / "dist" / name).write_bytes(f"as if {name}".encode())
    return folder


@pytest.fixture(scope="session")
def runtime(tmp_path_factory):
    """The unpacked onnxruntime-web, if it is in the cache."""
    archive = cache_folder() / f"onnxruntime-web-{web_runtime.VERSION}.tgz"
    if not archive.is_file():
        pytest.skip("onnxruntime-web is not in the user's cache; din-jax page downloads it there")
    folder = tmp_path_factory.mktemp("runtime")
    for name, content in web_runtime.read_archive(archive).items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    with chromed(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="session")
def site(browser, exported, runtime, tmp_path_factory):
    """The folder of the page, served; only where there is a browser."""
    folder = tmp_path_factory.mktemp("site") / "page"
    flags = ["--exported", exported, "--ort", runtime, "--size", SIDE, "--output", folder]
    page.run(page.parse(list(map(str, flags))))
    with serving(folder) as server:
        server.folder = folder
        yield server


@pytest.fixture(scope="session")
def kept(browser, site):
    return Page(browser).open(site.url)


@pytest.fixture
def opened(kept):
    """The page as if just opened, which takes long."""
    return kept.reset()
