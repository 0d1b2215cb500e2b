"""Networks of others: their initial weights, whatever they raise, what they return, and what they compute alone."""

import logging
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from samples import colored_squares, model_settings, train_in, training_settings
from winnow.data.batches import training_batches
from winnow.deploy.export import check_agreement, example_images, export_onnx
from winnow.errors import WinnowError
from winnow.models.build import build_model, check_same_again, load_model
from winnow.models.fit import check_inference
from winnow.models.outputs import AUXILIARY_WEIGHT, auxiliary_logits, logits_of, training_loss
from winnow.models.weights import load_weights, save_weights
from winnow.quantize.static import quantize_static
from winnow.study.recipe import Recipe
from winnow.train.loop import Trainee

DATA = colored_squares(40, 4)


def settings(name, **arguments):
    return model_settings(name, name=None, factory=f"odd_networks:{name}", arguments=arguments)


def build(name, seed=0, **arguments):
    return build_model(settings(name, **arguments), DATA.task, seed=seed)


def trained(model, data, folder, **changes):
    return train_in(folder, Trainee(model), data, training_settings(epochs=1, **changes))


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


# ---- the same seed, the same weights


@pytest.mark.parametrize("name", ["lazy", "from_numpy", "from_python"])
def test_initial_weights_are_a_function_of_the_seed_wherever_they_are_drawn(name):
    torch.manual_seed(1)
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    one = build(name, seed=3)
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()
    assert torch.equal(torch.get_rng_state(), states[2])
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    assert same(one, build(name, seed=3))
    assert not same(one, build(name, seed=4))
    check_same_again(one, settings(name), DATA.task, seed=3)


def test_weights_that_differ_between_two_builds_are_refused():
    message = r"^model from_nowhere: built twice with seed 0, it has other weights, first in 2\.weight; draw"
    with pytest.raises(WinnowError, match=message):
        check_same_again(build("from_nowhere"), settings("from_nowhere"), DATA.task, seed=0)


# ---- whatever is raised is one line


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("assertion", "AssertionError"),
        ("index", "IndexError: list index out of range"),
        ("zero", "ZeroDivisionError: division by zero"),
        ("key", "KeyError: 'weight'"),
        ("type", "TypeError: unhashable"),
        ("exit", "SystemExit: 3"),
    ],
)
def test_whatever_a_network_raises_is_one_line_with_its_layer(kind, cause, caplog):
    caplog.set_level(logging.INFO)
    with pytest.raises(WinnowError) as caught:
        build("raising", kind=kind)
    expected = f"model raising: does not accept 3x32x32 images in layer 6.0 ({cause}); set image_size of the data set"
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)
    assert "Traceback" in caplog.text


def test_what_is_raised_in_training_names_step_and_layer(tmp_path):
    model = build("raising", kind="index", only_in_training=True)
    with pytest.raises(WinnowError, match=r"^net: a training step of 16 images fails in layer 6\.0 \(IndexError: list"):
        trained(model, DATA, tmp_path)


def test_a_factory_that_ends_the_process():
    with pytest.raises(WinnowError, match=r"^model ending: its factory fails \(SystemExit: bye\)"):
        build("ending")


def test_a_module_that_cannot_be_imported_for_any_reason(tmp_path, monkeypatch):
    (tmp_path / "broken_networks.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    broken = model_settings("mine", name=None, factory="broken_networks:net")
    with pytest.raises(WinnowError, match=r"cannot import factory 'broken_networks:net' \(ZeroDivisionError: division"):
        build_model(broken, DATA.task, seed=0)


def test_a_network_for_images_of_another_size():
    with pytest.raises(WinnowError, match=r"does not accept 3x32x32 images \(AssertionError: .*224 but got 32"):
        build("for_224_pixels")


# ---- outputs


@pytest.mark.parametrize("kind", ["inception", "named", "dict", "list", "features"])
def test_networks_with_further_outputs_are_trained_exported_and_quantized(kind, tmp_path):
    model = build("heads", kind=kind)
    names = set(model.state_dict())
    trained(model, DATA, tmp_path, lr=0.01)
    save_weights(tmp_path / "w.safetensors", model)
    assert set(model.state_dict()) == names
    assert (model.aux.weight.grad is None) == (kind == "features")
    loaded = load_model(settings("heads", kind=kind), DATA.task, tmp_path / "w.safetensors")
    images = example_images(DATA)
    assert loaded(images).shape == (20, 4)
    export_onnx(loaded, images, tmp_path / "m.onnx", {})
    check_agreement(loaded, DATA, tmp_path / "m.onnx", "net", integer=False)
    assert quantize_static(loaded, [images], Recipe("ptq", "minmax"))(images).shape == (20, 4)


def test_auxiliary_logits_add_a_share_of_their_loss():
    labels, logits, aux = torch.arange(4), torch.randn(4, 4), torch.randn(4, 4)
    alone, beside = (functional.cross_entropy(part, labels) for part in (logits, aux))
    assert training_loss(logits, labels) == alone
    for output in ((logits, aux), [logits, aux], {"aux_head": aux, "logits": logits}, {"out": logits, "aux": aux}):
        assert logits_of(output) is logits
        assert training_loss(output, labels) == alone + AUXILIARY_WEIGHT * beside
    for output in ((logits, aux[:, :2]), (logits, aux.long()), {"out": logits, "probabilities": logits.softmax(1)}):
        assert auxiliary_logits(output) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("half", r"^model half: its logits are torch.float16, expected torch.float32; end it in .float\(\)$"),
        ("infinite", r"^model infinite: its logits are not finite with initial weights; initialize every parameter"),
    ],
)
def test_logits_that_are_none_are_refused(name, message):
    with pytest.raises(WinnowError, match=message):
        build(name)


# ---- an image's logits depend on that image


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "batch_statistics",
            r"other images of its batch, from layer 6 on; a batch norm without running statistics, set",
        ),
        ("centred", r"depend on the other images of its batch, from layer 6 on; compute each alone"),
        ("noisy", r"logits change from call to call in inference, from layer 6 on; what is random must rest"),
        ("squeezed", r"for 1 image its output is \(4,\), expected logits of shape \(1, 4\)"),
        ("counting", r"inference changes its 6.calls; change it only `if self.training`"),
    ],
)
def test_inference_that_depends_on_more_than_the_image_is_refused(name, message):
    model = build(name).train()
    with pytest.raises(WinnowError, match=rf"^model {name}: .*{message}"):
        check_inference(model, f"model {name}", (3, 32, 32))
    assert model.training


@pytest.mark.parametrize("name", ["lazy", "attention", "last_batch"])
def test_inference_of_usual_networks_is_accepted(name):
    check_inference(build(name), name, (3, 32, 32))


# ---- never a batch of one image


def test_the_batches_of_an_epoch_are_equally_large():
    """A small one at its end would leave its mark on the running statistics of batch norms."""

    def sizes(count, size):
        batches = training_batches(count, size)
        assert [i for batch in batches for i in range(count)[batch]] == list(range(count))
        return [len(range(count)[batch]) for batch in batches]

    assert sizes(256, 128) == [128, 128]
    assert sizes(257, 128) == [85, 86, 86]
    assert sizes(129, 128) == [64, 65]
    assert sizes(100, 128) == [100]
    assert sizes(3, 1) == [1, 1, 1]
    assert sizes(3, 2) == [3]  # not one of a single image
    assert set(sizes(5520, 128)) == {125, 126}
    assert len(sizes(5520, 128)) == 44
    for size in range(2, 20):
        for count in range(2, 200):
            found = sizes(count, size)
            assert max(found) - min(found) <= 1
            assert min(found) > 1
            assert max(found) <= size + (size == 2)


@pytest.mark.parametrize("count", [17, 33])
def test_a_batch_norm_over_single_values_survives_every_size_of_data_set(count, tmp_path):
    data = replace(DATA, train_index=torch.arange(40)[:count])
    model = build("last_batch")
    trained(model, data, tmp_path)
    assert torch.isfinite(model(example_images(data))).all()


def test_batches_and_data_sets_of_one_image_are_refused_in_one_line(tmp_path):
    message = r"^net: a training step of 1 images fails in layer 6 \(ValueError: Expected more than 1 value per channel"
    with pytest.raises(WinnowError, match=message):
        trained(build("last_batch"), DATA, tmp_path, batch_size=1)
    with pytest.raises(WinnowError, match=r"^net: the training split has 1 image; training needs at least 2"):
        trained(build("last_batch"), replace(DATA, train_index=torch.arange(1)), tmp_path)


def test_two_names_of_one_weight_stay_one_through_a_file(tmp_path):
    model = build("tied")
    save_weights(tmp_path / "w.safetensors", model)
    other = build("tied", seed=1)
    load_weights(tmp_path / "w.safetensors", other)
    assert other.one.weight is other.two.weight
    assert isinstance(other.one.weight, nn.Parameter)
    assert same(model, other)
