"""A stage is made again for what can change its result, and for nothing else."""

import shutil
import textwrap
from dataclasses import replace
from functools import cache

import pytest

from samples import REPOSITORY
from winnow.config.extras import AUGMENTATION, AVERAGE, DISTILLATION
from winnow.planning import provenance
from winnow.planning.provenance import source_digest, user_digest
from winnow.study.vocabulary import CRITERIA, PRECISIONS, RUNTIMES, STRUCTURES

SCRIPTS = REPOSITORY / "workflow" / "scripts"
RESNET, LENET = "winnow.models.torchvision_resnet", "winnow.models.lenet"


def forget():
    caches = (provenance._found, provenance._imports, provenance._read)
    for function in (source_digest, user_digest, *caches):
        function.cache_clear()


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """A copy of workflow/scripts that digests are taken of."""
    shutil.copytree(SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "_SCRIPTS", tmp_path / "scripts")
    forget()
    yield tmp_path / "scripts"
    forget()


def digests(scripts) -> dict[str, str]:
    forget()
    found = {path.stem: source_digest(path.stem) for path in scripts.glob("*.py")}
    found |= {f"train {name}": source_digest("train", name) for name in (RESNET, LENET)}
    sources = ("winnow.data.digits", "winnow.data.image_folder")
    return found | {f"prepare {name}": source_digest("prepare_dataset", name) for name in sources}


@cache
def unchanged() -> dict[str, str]:
    """Return the digests of the project as it is: reading all of it takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provenance, "_SCRIPTS", SCRIPTS)
        return digests(SCRIPTS)


def changed(scripts, module: str, text: str = "NEW = 1\n") -> set[str]:
    """Return what is made again when a line is added to a module, which is as before afterwards."""
    before, content = unchanged(), (scripts / module).read_text()
    (scripts / module).write_text(content + text)
    after = digests(scripts)
    (scripts / module).write_text(content)
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("module", "again", "kept"),
    [
        ("winnow/report/quantization_table.py", {"make_quantization_table"}, {"train", "collect", "evaluate"}),
        ("winnow/quantize/int8.py", {"calibrate", "train_quantized"}, {"train", "export", "evaluate"}),
        ("winnow/quantize/static.py", {"calibrate"}, {"train_quantized", "quantize_dynamic", "train"}),
        ("winnow/quantize/dynamic.py", {"quantize_dynamic"}, {"train_quantized", "calibrate", "train"}),
        ("winnow/quantize/aware.py", {"train_quantized"}, {"calibrate", "quantize_dynamic", "retrain"}),
        (
            "winnow/train/optimizer.py",
            {"train", "retrain", "train_quantized"},
            {"prepare_dataset", "export", "collect"},
        ),
        ("winnow/figures/speedup.py", {"make_figures"}, {"make_overview", "collect", "recommend"}),
        ("winnow/data/prepare.py", {"prepare_dataset"}, {"train", "evaluate", "export", "calibrate"}),
        (
            "winnow/study/record.py",
            {"train", "evaluate", "calibrate"},
            {"prepare_dataset", "quantize_dynamic", "export"},
        ),
        ("winnow/train/progress.py", {"train", "retrain", "train_quantized"}, {"export", "calibrate"}),
        ("evaluate.py", {"evaluate"}, {"train", "benchmark", "collect"}),
    ],
)
def test_a_stage_depends_on_what_it_imports_and_nothing_else(scripts, module, again, kept):
    found = changed(scripts, module)
    assert again <= found
    assert not kept & found


def test_a_network_and_a_source_concern_only_those_who_use_them(scripts):
    assert changed(scripts, "winnow/models/lenet.py") == {f"train {LENET}"}
    assert changed(scripts, "winnow/data/image_folder.py") == {"prepare winnow.data.image_folder"}


@pytest.mark.parametrize("module", [AUGMENTATION, AVERAGE, DISTILLATION])
def test_what_training_does_on_request_concerns_only_who_asks_for_it(scripts, module):
    before, path = source_digest("train", module), scripts / f"{module.replace('.', '/')}.py"
    assert not changed(scripts, str(path.relative_to(scripts)))
    path.write_text(path.read_text() + "NEW = 1\n")
    forget()
    assert source_digest("train", module) != before


@pytest.mark.parametrize(
    "module",
    ["winnow/errors.py", "winnow/study/vocabulary.py", "winnow/train/gpu_slots.py", "winnow/study/training_state.py"],
)
def test_what_no_result_depends_on_reruns_nothing(scripts, module):
    assert not changed(scripts, module)


@pytest.mark.parametrize(
    ("word", "again"),
    [
        (CRITERIA["snip"], {"initial": False, "gradient": False, "control": True, "magnitude": True}),
        (STRUCTURES["channels"], {"narrow": False, "unit": "filters"}),
        (RUNTIMES["openvino"], {"ships": False, "dynamic": True, "package": "another"}),
        (PRECISIONS["ptq"], {"static": False, "trained": True, "method": False}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_job_depends_on_the_facts_of_its_words_and_not_on_their_looks(word, again):
    digest = source_digest("prune", words=(word,))
    assert digest != source_digest("prune")
    for name, value in again.items():
        assert source_digest("prune", words=(replace(word, **{name: value}),)) != digest
    looks = {"meaning", "label", "column", "action", "units", "color", "marker", "hatch"} & vars(word).keys()
    assert looks
    assert source_digest("prune", words=(replace(word, **dict.fromkeys(looks, "new")),)) == digest


def test_a_package_that_gets_content_counts(scripts):
    assert {"train", "retrain"} <= changed(scripts, "winnow/train/__init__.py")


ONE = '''"""A module."""
from helper import scale


def double(x):
    """Twice."""
    return scale(x, 2)
'''
SAME = '''# reformatted

"""A module that says more of itself."""

from helper import (
    scale,  # what multiplies
)


def double(x: float) -> float:
    return scale(
        x,
        2,
    )
'''


def script(scripts, text: str) -> str:
    (scripts / "new.py").write_text(text)
    (scripts / "helper.py").write_text("def scale(x, factor):\n    return x * factor\n")
    forget()
    return source_digest("new")


def test_comments_docstrings_annotations_and_layout_do_not_count(scripts):
    assert script(scripts, ONE) == script(scripts, SAME)
    assert script(scripts, ONE) != script(scripts, ONE.replace("2)", "3)"))
    assert script(scripts, ONE) != script(scripts, ONE.replace("return scale", "print(x); return scale"))


def test_a_string_that_is_no_docstring_counts(scripts):
    assert script(scripts, "x = 'a'\n") != script(scripts, "x = 'b'\n")
    assert script(scripts, "def f():\n    return None\n") != script(scripts, "def f():\n    return\n")


def test_what_does_not_exist_is_an_error():
    with pytest.raises(ValueError, match=r"no module winnow\.nowhere"):
        source_digest("train", "winnow.nowhere")


@pytest.fixture
def user(tmp_path, monkeypatch):
    """Return a function that writes a file of a user's package and returns the digest of `nets.main:net`."""
    monkeypatch.chdir(tmp_path)
    files = {
        "nets/__init__.py": "",
        "nets/main.py": "from .blocks import block\nimport layers\n\n\ndef net():\n    return block(layers.one)\n",
        "nets/blocks.py": "from . import parts\n\n\ndef block(x):\n    return parts.part(x)\n",
        "nets/parts.py": "def part(x):\n    return x\n",
        "nets/other.py": "x = 1\n",
        "layers.py": "one = 1\n",
        "unrelated.py": "y = 1\n",
    }

    def write(name: str = "", text: str = "") -> str:
        for path, content in (files | ({name: textwrap.dedent(text)} if name else {})).items():
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text(content)
        forget()
        return user_digest("nets.main:net")

    yield write
    forget()


@pytest.mark.parametrize("name", ["nets/main.py", "nets/blocks.py", "nets/parts.py", "nets/__init__.py", "layers.py"])
def test_a_users_module_counts_with_all_that_it_imports(user, name):
    assert user() != user(name, "z = 1\n")


@pytest.mark.parametrize("name", ["nets/other.py", "unrelated.py"])
def test_what_a_users_module_does_not_import_does_not_count(user, name):
    assert user() == user(name, "z = 1\n")


LOADER = "import importlib\n\n\ndef net():\n    return importlib.import_module('nets.other').x\n"


def test_code_that_a_users_module_loads_by_name_counts(user, tmp_path):
    first = user("nets/main.py", LOADER)
    (tmp_path / "nets/other.py").write_text("x = 2\n")
    forget()
    assert user_digest("nets.main:net") != first


def test_a_file_beside_a_users_module_that_it_names_counts(user, tmp_path):
    user()
    (tmp_path / "nets/kernel.cpp").write_text("int one() { return 1; }")
    first = user("nets/main.py", "net = open('kernel.cpp')\n")
    (tmp_path / "nets/kernel.cpp").write_text("int one() { return 2; }")
    forget()
    assert user_digest("nets.main:net") != first


@pytest.mark.parametrize("name", ["nets/results/table.bin", "elsewhere/table.bin"])
def test_a_file_that_is_named_counts_wherever_it_lies(user, tmp_path, name):
    """In a folder of the user's own called as one of the runs', and by its whole path."""
    path = tmp_path / name
    named = "results/table.bin" if name.startswith("nets/") else str(path)
    first = user("nets/main.py", f"net = open({named!r})\n")
    path.parent.mkdir()
    path.write_text("1")
    forget()
    assert user_digest("nets.main:net") != first


def test_what_a_run_makes_does_not_count_for_a_module_that_names_it(user, tmp_path):
    """A training that names its own saved state would never find it again."""
    first = user("layers.py", "one = open('results/tiny/weights.resume')\n")
    (tmp_path / "results/tiny").mkdir(parents=True)
    (tmp_path / "results/tiny/weights.resume").write_text("epoch 2")
    forget()
    assert user_digest("nets.main:net") == first


def test_a_text_too_long_to_be_a_name_is_none(user):
    assert user("nets/main.py", f"net = {'a' * 400!r}\n") != user()


@pytest.mark.usefixtures("user")
def test_an_installed_package_belongs_to_the_environment():
    assert user_digest("torchvision.models:resnet18") == ""


def test_a_module_that_does_not_parse_has_a_digest(user):
    assert user("layers.py", "def (:\n") != user()
