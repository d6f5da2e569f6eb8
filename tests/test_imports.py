"""The import direction of the package, read from its source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "din_jax"
# An import goes to a lower number or stays in its folder.
LEVELS = {
    "errors": 0,
    "fields": 0,
    "config": 0,
    "config_rules": 0,
    "methods": 0,
    "vgg_layout": 0,
    "command_line": 0,
    "memory": 0,
    "files": 0,
    "checksums": 0,
    "download": 0,
    "later": 0,
    "style_code": 0,
    "ops": 0,
    "losses": 1,
    "layers": 1,
    "data": 1,
    "configs": 2,
    "models": 2,
    "weights": 3,
    "training": 4,
    "inference": 4,
    "evaluation": 5,
    "lite": 5,
    "serve": 5,
    "export": 6,
    "tools": 7,
    "__main__": 8,
}
FORBIDDEN = ("torch", "torchvision", "tensorflow")
# What lies beside the package in a clone, and is not in a wheel.
BESIDE = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or any(path.glob("*.py"))}
BESIDE -= {"din_jax"}
# Level-0 names that import nothing of the package but these.
ALLOWED_BESIDE = {
    ("config", "config_rules"),
    ("config", "fields"),
    ("config", "methods"),
    ("config", "vgg_layout"),
    ("config_rules", "errors"),
    ("config_rules", "methods"),
    ("config_rules", "vgg_layout"),
    ("checksums", "files"),
    ("command_line", "errors"),
    ("command_line", "files"),
    ("download", "files"),
    ("fields", "errors"),
    ("methods", "errors"),
}
FILES = sorted(PACKAGE.rglob("*.py"))
PARITY = sorted((ROOT / "parity").rglob("*.py"))


def imports(tree, module, is_package=False):
    """Full dotted names of everything imported, at any depth; relative ones resolved."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            keep = len(parts) - node.level + (1 if is_package else 0)
            base = parts[:keep] if node.level else []
            start = ".".join([*base, node.module] if node.module else base)
            names += [f"{start}.{alias.name}" for alias in node.names]
    return names


def violations(source, module, is_package=False):
    """Imports of `module` that go up or are forbidden."""
    own = module.split(".")[1] if "." in module else ""
    found = []
    for name in imports(ast.parse(source), module, is_package):
        top, *rest = name.split(".")
        if top in FORBIDDEN or top in BESIDE:
            found.append(name)
        if top != "din_jax" or not rest or rest[0] not in LEVELS or rest[0] == own:
            continue
        lower = not own or LEVELS[rest[0]] < LEVELS[own] or (own, rest[0]) in ALLOWED_BESIDE
        if not lower or not own:
            found.append(name)
    return found


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_every_part_of_the_package_has_a_level():
    parts = {p.stem if p.is_file() else p.name for p in PACKAGE.iterdir()}
    code = {p for p in parts if (PACKAGE / f"{p}.py").exists() or any((PACKAGE / p).rglob("*.py"))}
    assert code - {"__init__"} <= set(LEVELS)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_go_down(path):
    source = path.read_text(encoding="utf-8")
    assert violations(source, module_name(path), path.name == "__init__.py") == []


def circles(graph):
    """One path of names per circle, from the first name it has in `graph` back to it."""
    found, done = [], set()

    def visit(name, path):
        if name in path:
            found.append([*path[path.index(name) :], name])
        elif name not in done:
            for other in sorted(graph[name]):
                visit(other, [*path, name])
            done.add(name)

    for name in graph:
        visit(name, [])
    return found


def test_imports_inside_a_folder_have_no_circles():
    """Those inside functions too: what needs one is two topics in one file."""
    modules = {module_name(path): path for path in (*FILES, *PARITY)}
    graph = {}
    for name, path in modules.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        reached = imports(tree, name, path.name == "__init__.py")
        # "din_jax.data.sources.Source" is a name in a module, "din_jax.data.sources" a module.
        reached = {x if x in modules else x.rpartition(".")[0] for x in reached}
        graph[name] = reached & set(modules) - {name}
    assert circles(graph) == []


@pytest.mark.parametrize("path", PARITY, ids=module_name)
def test_parity_imports_the_package_and_itself_only(path):
    """Of what lies in a clone; and its reference takes nothing that computes from the package."""
    found = imports(
        ast.parse(path.read_text(encoding="utf-8")), module_name(path), path.name == "__init__.py"
    )
    assert [name for name in found if name.split(".")[0] in BESIDE - {"parity"}] == []
    if "reference" in path.parts:
        assert [name for name in found if name.startswith("din_jax")] == []


def test_what_lies_beside_the_package_is_known():
    assert {"parity", "configs", "train", "evaluate", "tests", "examples"} <= BESIDE


def test_the_circle_reader_finds_one():
    graph = {"a": {"b", "c"}, "b": {"c"}, "c": {"d"}, "d": {"b"}}
    assert circles(graph) == [["b", "c", "d", "b"]]


@pytest.mark.parametrize(
    "source,module,found",
    [
        ("import din_jax.models.vgg", "din_jax.layers.blocks", ["din_jax.models.vgg"]),
        ("def f():\n    from din_jax import tools", "din_jax.data.pairs", ["din_jax.tools"]),
        ("from ..training import step", "din_jax.inference.engine", ["din_jax.training.step"]),
        ("from .. import losses", "din_jax.ops.padding", ["din_jax.losses"]),
        ("from . import losses", "din_jax", ["din_jax.losses"]),
        ("import din_jax.config", "din_jax.ops.padding", ["din_jax.config"]),
        ("try:\n    import torch.nn\nexcept E: pass", "din_jax.weights.pth", ["torch.nn"]),
        ("from tensorflow import data", "din_jax.data.pairs", ["tensorflow.data"]),
        ("def f():\n    from parity.pair import x", "din_jax.tools.bench", ["parity.pair.x"]),
        ("from configs.din import PAPER", "din_jax.configs.wct", ["configs.din.PAPER"]),
        ("import evaluate", "din_jax.tools.demo", ["evaluate"]),
        ("from din_jax.ops import padding\nimport jax", "din_jax.models.vgg", []),
        ("from .blocks import Conv", "din_jax.layers.codes", []),
        ("from din_jax.errors import UserError", "din_jax.config_rules", []),
    ],
)
def test_the_reader_finds_what_it_should(source, module, found):
    assert violations(source, module, module == "din_jax") == found
