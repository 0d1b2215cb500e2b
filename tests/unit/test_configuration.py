"""The configuration: defaults, overrides, and one-line errors for what is wrong."""

import re
from typing import get_args

import jsonschema
import pytest
import yaml

from samples import REPOSITORY
from winnow.config import guide
from winnow.config.catalog import NETWORKS, SOURCES
from winnow.config.choices import (
    APPLY_TO,
    ARITHMETIC,
    DEVICES,
    OBJECTIVES,
    OPTIMIZERS,
    POLICIES,
    SCHEDULES,
    SHORTCUTS,
    STEMS,
    TUNING_SCHEDULES,
)
from winnow.config.keys.pruning import Exclusion, Pruning
from winnow.config.keys.quantization import Entry
from winnow.config.keys.section import is_section, item_of, without_null
from winnow.config.keys.study import Configuration, Dataset
from winnow.config.recommend import RecommendSettings
from winnow.config.resolve import check_own_files, resolve
from winnow.config.settings import (
    BenchmarkSettings,
    DatasetSettings,
    ModelSettings,
    QatSettings,
    TrainingSettings,
)
from winnow.config.typed import built
from winnow.errors import WinnowError
from winnow.study.pruning_axes import REWINDS, SCOPES, SHUFFLES
from winnow.study.recipe import Recipe
from winnow.study.recipe_axes import CORRECTIONS, GRANULARITIES, OBSERVERS, OVERFLOWS, ROUNDINGS
from winnow.study.vocabulary import CRITERIA, QUANTIZED, RUNTIMES, STRUCTURES

SHIPPED = sorted((REPOSITORY / "config").glob("*.yaml"))


def config(**changes):
    return {"study": "s", "datasets": {"digits": {"source": "digits"}}, "models": {"resnet20": {}}} | changes


def errors(**changes) -> list[str]:
    with pytest.raises(WinnowError) as caught:
        resolve(config(**changes))
    return str(caught.value).splitlines()


def test_defaults_build_every_settings_class():
    study = resolve(config())
    DatasetSettings.of(study.datasets["digits"])
    assert ModelSettings.of(study.models["resnet20"]).name == "resnet20"
    training = TrainingSettings.of(study.training["resnet20"])
    assert training.epochs == 50
    assert {slug: built(Recipe, recipe).method for slug, recipe in study.recipes.items()} == {m: m for m in QUANTIZED}
    BenchmarkSettings.of(study.benchmark)
    qat = QatSettings.of(study.qat["resnet20"])
    assert qat.training.momentum == training.momentum
    assert qat.training.lr != training.lr


def test_what_recommend_leaves_open_is_what_is_timed_first():
    timed = {"runtimes": ["torch", "onnxruntime"], "batch_sizes": [8, 1], "threads": [4]}
    settings = RecommendSettings.of(resolve(config(benchmark=timed)).recommend)
    assert (settings.runtime, settings.batch_size, settings.threads) == ("onnxruntime", 8, 4)
    assert (settings.max_accuracy_drop, settings.objective) == (1, "latency")
    untimed = resolve(config(benchmark={"runtimes": ["torch"]})).recommend
    assert untimed["objective"] == "size"


def test_the_users_configuration_is_not_changed():
    given = config()
    resolve(given)
    assert given == config()


def test_a_models_own_keys_take_precedence_in_training_and_qat():
    models = {"a": {"name": "lenet5", "training": {"lr": 0.5}, "qat": {"epochs": 7}}, "lenet5": {}}
    study = resolve(config(models=models))
    assert [study.training[name]["lr"] for name in ("a", "lenet5")] == [0.5, 0.1]
    assert [study.qat[name]["training"]["epochs"] for name in ("a", "lenet5")] == [7, 10]


def test_without_weight_nothing_is_learned_from_the_dense_network():
    """The control is the same study: nothing is made again for it."""
    quantized, pruned = {"qat": {"distill": {"weight": 0.5}}}, {"ratio": [0.5], "rewind": ["none", "init"]}
    models = {"lenet5": {}, "resnet20": {"qat": {"distill": {"temperature": 2}}}}
    pruned |= {"retrain": {"distill": {"weight": 0.25, "temperature": 8}}}
    study = resolve(config(models=models, quantization=quantized, pruning=pruned))
    assert study.qat["lenet5"]["distill"] == {"temperature": 4, "weight": 0.5}
    assert study.qat["resnet20"]["distill"] == {"temperature": 2, "weight": 0.5}
    for retraining in study.retraining["lenet5"].values():
        assert retraining["distill"] == {"temperature": 8, "weight": 0.25}
    off, control = (
        resolve(
            config(
                quantization={"qat": {"distill": distill}}, pruning={"ratio": [0.5], "retrain": {"distill": distill}}
            )
        )
        for distill in ({}, {"weight": 0, "temperature": 9})
    )
    assert repr(off) == repr(control)


def test_ranges_freeze_before_batch_norms_and_never_in_the_first_epoch():
    for epochs in range(1, 12):
        study = resolve(config(quantization={"qat": {"epochs": epochs}})).qat["resnet20"]
        assert 2 <= study["freeze_observers_epoch"] <= study["freeze_batchnorm_epoch"]


def test_the_result_does_not_depend_on_the_order_of_keys():
    one = resolve(config(training={"epochs": 3, "lr": 0.2, "warmup_epochs": 1}))
    other = resolve(config(training={"warmup_epochs": 1, "lr": 0.2, "epochs": 3}))
    assert repr(one) == repr(other)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sedes": [1]}, r"unknown key 'sedes'; did you mean 'seeds'\?"),
        ({"training": {"weigth_decay": 0}}, r"unknown key 'training.weigth_decay'; did you mean 'weight_decay'\?"),
        (
            {"models": {"resnet20": {"training": {"epoch": 1}}}},
            r"'models.resnet20.training.epoch'; did you mean 'epochs'\?",
        ),
        ({"models": {"resnet20": {"qat": {"epochs": 0}}}}, r"models.resnet20.qat.epochs: 0 is less than"),
        ({"datasets": {"d": {"source": "cifar"}}}, r"expected one of .*did you mean 'cifar10'\?"),
        ({"datasets": {"d": {}}}, r"key 'datasets.d.source' is missing"),
        ({"training": {"epochs": "many"}}, r"training.epochs: 'many' is not of type 'integer'"),
        ({"seeds": [1, 2, 1]}, r"seeds lists 1 more than once"),
        ({"quantization": {"methods": ["ptq", "ptq"]}}, r"quantization.methods lists 'ptq' more than once"),
        ({"benchmark": {"batch_sizes": [8, 8]}}, r"benchmark.batch_sizes lists 8 more than once"),
        (
            {"quantization": {"ptq": {"calibration_samples": 1400}}},
            r"calibration_samples is 1400, but the training split of datasets.digits has about 1293 images",
        ),
        ({"training": {"epochs": 4, "warmup_epochs": 5}}, r"warmup_epochs 5 exceeds epochs 4"),
        ({"training": {"epochs": 4, "warmup_epochs": 1, "rewind_epochs": [5]}}, r"rewind_epochs lists 5, but training"),
        ({"training": {"schedule": "multi_step"}}, r"multi_step needs milestones"),
        (
            {"training": {"accumulate": 65}},
            r"training of resnet20: accumulate 65 leaves less than 2 images of batch_size 128 in each part; lower it",
        ),
        (
            {"training": {"crop_padding": 2, "resized_crop": 0.3}},
            r"training of resnet20 has both crop_padding and resized_crop, which are two ways to crop; keep one",
        ),
        ({"training": {"policy": "randaug"}}, r"training.policy is 'randaug', expected .*did you mean 'randaugment'\?"),
        ({"training": {"resized_crop": 0}}, r"training.resized_crop: 0 is less than or equal to the minimum of 0"),
        ({"training": {"color_jitter": 1.5}}, r"training.color_jitter: 1.5 is greater than the maximum of 1"),
        ({"training": {"ema_decay": 1}}, r"training.ema_decay: 1 is greater than or equal to the maximum of 1"),
        ({"training": {"clip_norm": 0}}, r"training.clip_norm: 0 is less than or equal to the minimum of 0"),
        ({"training": {"mixup": -1}}, r"training.mixup: -1 is less than the minimum of 0"),
        (
            {"quantization": {"qat": {"epochs": 3, "freeze_observers_epoch": 4}}},
            r"quantization.qat of resnet20: freeze_observers_epoch is 4, but training ends after epoch 3 and nothing",
        ),
        (
            {
                "models": {"resnet20": {"qat": {"epochs": 2}}},
                "quantization": {"qat": {"epochs": 9, "freeze_batchnorm_epoch": 8}},
            },
            r"quantization.qat of resnet20: freeze_batchnorm_epoch is 8, but training ends after epoch 2 and nothing",
        ),
        (
            {"quantization": {"qat": {"distill": {"weight": 1.1}}}},
            r"quantization.qat.distill.weight: 1.1 is greater than the maximum of 1",
        ),
        (
            {"quantization": {"qat": {"distill": {"temp": 2}}}},
            r"unknown key 'quantization.qat.distill.temp'; did you mean 'temperature'\?",
        ),
        ({"quantization": {"qat": {"distill": 0.5}}}, r"quantization.qat.distill: 0.5 is no section of keys"),
        (
            {"pruning": {"ratio": [0.5], "retrain": {"epochs": 0, "distill": {"weight": 0.5}}}},
            r"pruning.retrain.distill has no effect with epochs: 0; remove it, or train for some",
        ),
        ({"models": {"resnet19": {}}}, r"models.resnet19 is no built-in network \(did you mean 'resnet18'\?\)"),
        ({"models": {"a": {"name": "lenet5", "factory": "a:b"}}}, r"has both name and factory"),
        ({"models": {"lenet5": {"arguments": {"width": 2}}}}, r"arguments needs a factory"),
        (
            {"models": {"lenet5": {"output": "main"}}},
            r"models.lenet5.output needs a factory; built-in networks have one",
        ),
        ({"models": {"a": {"factory": "a:b", "output": -1}}}, r"models.a.output: -1 is less than the minimum of 0"),
        ({"models": {"a": {"factory": "a:b", "output": [1]}}}, r"models.a.output: \[1\] is not of type 'integer'"),
        (
            {"models": {"lenet5": {"stem": "cifar"}}},
            r"models.lenet5.stem: cifar has no effect here; only resnet18, .* have it, remove it",
        ),
        (
            {"models": {"resnet18": {"shortcut": "projection"}}},
            r"models.resnet18.shortcut: projection has no effect here; only resnet20, resnet56 have it, remove it",
        ),
        ({"models": {"a": {"factory": "no colon"}}}, r"models.a.factory: 'no colon' does not match"),
        (
            {"datasets": {"m": {"source": "mnist"}}, "models": {"vgg16_bn": {}}},
            r"needs images of at least 32 pixels, datasets.m has 28; set datasets.m.image_size: 32",
        ),
        (
            {"recommend": {"max_latency_ms": 1, "batch_size": 8}},
            r"recommend.batch_size is 8, which benchmark.batch_sizes \(1, 64\) does not time.*max_latency_ms refers",
        ),
        (
            {"recommend": {"runtime": "onnxruntime"}, "benchmark": {"runtimes": ["openvino"]}},
            r"recommend.runtime is onnxruntime, which benchmark.runtimes \(openvino\) does not time",
        ),
        (
            {"recommend": {"objective": "energy"}, "benchmark": {"runtimes": ["torch"]}},
            r"recommend.runtime is openvino.*objective: energy refers to it",
        ),
        ({"recommend": {"max_acuracy_drop": 1}}, r"'recommend.max_acuracy_drop'; did you mean 'max_accuracy_drop'\?"),
        ({"recommend": {"max_size_mb": 0}}, r"recommend.max_size_mb: 0 is less than or equal to the minimum"),
        ({"recommend": {"runtime": "torch"}}, r"recommend.runtime is 'torch', expected one of onnxruntime, openvino"),
        ({"study": "../elsewhere"}, r"study: '../elsewhere' does not match lower-case letters, digits"),
        ({"study": 7}, r"study: 7 is not of type 'string'; put it in quotes"),
        ({"models": {"A net": {}}}, r"models.A net: 'A net' does not match lower-case"),
        ({"datasets": {}}, r"datasets: \{\} is empty; give at least one"),
        ({"seeds": 3}, r"seeds: 3 is no list; write \[3\]"),
        ({"training": None}, r"training: None is no section of keys"),
        ({"training": {"epochs": 3.0}}, r"training.epochs: 3.0 is not of type 'integer'"),
        ({"training": {"lr": True}}, r"training.lr: True is not of type 'number'"),
        ({"training": {"lr": 0}}, r"training.lr: 0 is less than or equal to the minimum of 0; it must be above it"),
        ({"training": {"flip": 1}}, r"training.flip: 1 is not of type 'boolean'"),
        ({"training": {"lr": float("nan")}}, r"training.lr: nan is not of type 'number'"),
        ({"models": {"lenet5": {"training": {"rewind_epochs": [1]}}}}, r"rewind_epochs: set it for all networks"),
        ({"datasets": {"source": {"source": "digits", "pth": "a"}}}, r"'datasets.source.pth'; did you mean 'path'\?"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(changes, expected):
    lines = errors(**changes)
    assert len(lines) == 1
    assert re.search(expected, lines[0]), lines[0]


def test_images_that_are_not_there_are_named_before_a_run_and_not_missed_afterwards(tmp_path):
    study = resolve(config(datasets={"p": {"source": "image_folder", "path": str(tmp_path / "images")}}))
    with pytest.raises(WinnowError, match=r"datasets.p.path: .*images does not exist"):
        check_own_files(study)
    (tmp_path / "images").mkdir()
    check_own_files(study)


def test_values_of_the_command_line_are_text_and_understood():
    given = {
        "seeds": ["0", "1"],
        "training": {"epochs": "9", "lr": "1e-1", "flip": "false", "warmup_epochs": "0.5"},
        "datasets": {"digits": {"source": "digits", "channels": "1", "path": "7"}},
        "models": {"resnet20": {"training": {"epochs": "3"}}},
    }
    study = resolve(config(**given))
    assert study.seeds == [0, 1]
    training = study.training["resnet20"]
    assert (training["epochs"], training["lr"], training["flip"]) == (3, 0.1, False)
    assert study.datasets["digits"]["channels"] == 1
    assert study.datasets["digits"]["path"] == "7"
    assert errors(training={"epochs": "many"}) == ["configuration: training.epochs: 'many' is not of type 'integer'"]


def test_several_mistakes_are_a_line_each():
    assert len(errors(seeds=[1, 1], benchmark={"threads": [2, 2]})) == 2


def test_the_configuration_must_be_a_section():
    for given in (None, [], "study"):
        with pytest.raises(WinnowError, match=r"configuration: the whole: .* is no section of keys"):
            resolve(given)


def sections(section=Configuration):
    yield section
    for field in section.model_fields.values():
        kind = without_null(field.annotation)
        kind = kind if is_section(kind) else item_of(kind) if get_args(kind) else None
        if is_section(kind):
            yield from sections(kind)


SECTIONS = list(dict.fromkeys(sections()))
KEYS = [(section, name) for section in SECTIONS for name in section.model_fields]


def test_the_schema_and_the_guide_are_what_the_keys_say():
    committed = guide.GUIDE.read_text()
    assert guide.SCHEMA.read_text() == guide.schema(), "run `make docs`"
    assert committed == guide.guide(committed), "run `make docs`"


def test_every_section_has_its_table_in_the_guide():
    places = re.findall(r"<!-- keys: (\S+) -->", guide.GUIDE.read_text())
    assert places == list(guide.SECTIONS)
    assert {*guide.SECTIONS.values(), Exclusion} == set(SECTIONS)


@pytest.mark.parametrize(("section", "name"), KEYS)
def test_a_key_has_a_meaning_and_its_default_and_example_fit(section, name):
    field = section.model_fields[name]
    assert field.description
    needed = {Dataset: {"source": "digits"}, Pruning: {"ratio": [0.5]}, Entry: {"method": ["ptq"]}}
    required = needed.get(section) or (config() if section is Configuration else {})
    example = field.json_schema_extra["example"]
    if example is not None:
        section.model_validate(required | {name: example})
    whole = section.model_validate(required)
    given = whole.model_dump(mode="json", exclude_none=True)
    assert section.model_validate(given).model_dump() == whole.model_dump()


@pytest.mark.parametrize(
    "words",
    [
        *(SOURCES, NETWORKS, STEMS, SHORTCUTS, OPTIMIZERS, SCHEDULES, TUNING_SCHEDULES, ARITHMETIC, DEVICES, POLICIES),
        *(OBSERVERS, GRANULARITIES, CORRECTIONS, ROUNDINGS, OVERFLOWS),
        *(APPLY_TO, CRITERIA, STRUCTURES, SCOPES, REWINDS, SHUFFLES, RUNTIMES, OBJECTIVES),
    ],
    ids=lambda words: words.kind,
)
def test_every_choice_is_in_the_guide_with_what_it_means(words):
    tables = guide.GUIDE.read_text()
    for name, word in words.items():
        said = next(getattr(word, part) for part in ("meaning", "label", "action") if hasattr(word, part))
        assert (f"`{name}`: {said}" if said else f"`{name}`") in tables


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_configurations_are_valid(path):
    given = yaml.safe_load(path.read_text())
    assert resolve(given).study == given["study"]
    jsonschema.validate(given, yaml.safe_load(guide.schema()), jsonschema.Draft202012Validator)


STUDIES = ("images", "pruning")


def test_all_shipped_configurations_are_tried():
    assert {path.stem for path in SHIPPED} >= {"config", "demo", *(f"cifar10-{name}" for name in STUDIES)}


def test_what_is_prepared_of_own_images_depends_on_no_default_elsewhere():
    """The size that a folder gets is a value of the study, and so of the rule; a data set of its own size keeps it."""
    own = {"source": "image_folder", "path": "data/mine"}
    datasets = {"mine": own, "large": own | {"image_size": 64}, "digits": {"source": "digits"}}
    study = resolve(config(datasets=datasets))
    assert {name: dataset["image_size"] for name, dataset in study.datasets.items()} == {
        "mine": [32, 32],
        "large": [64, 64],
        "digits": None,
    }
