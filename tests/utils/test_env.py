import platform

import pytest
import torch

from pet.utils.env import describe_env, resolve_device


@pytest.fixture
def no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("no_cuda")
def test_without_cuda_auto_is_the_cpu():
    assert resolve_device("auto") == torch.device("cpu")
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.usefixtures("two_gpus")
def test_with_cuda_auto_is_cuda():
    assert resolve_device("auto") == torch.device("cuda")
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.usefixtures("no_cuda")
def test_cuda_where_there_is_none_says_what_to_do():
    with pytest.raises(
        ValueError, match=r"DEVICE is 'cuda', but .* no CUDA device; give DEVICE cpu"
    ):
        resolve_device("cuda")


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_too_many_is_named():
    with pytest.raises(ValueError, match="DEVICE is 'cuda:2', but there are 2 CUDA devices"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "meta"])
def test_what_is_no_device_is_named_with_the_choices(name):
    with pytest.raises(ValueError, match=rf"{name!r} \(DEVICE\); give auto, cpu, cuda or cuda:N"):
        resolve_device(name)


def test_the_description_names_versions_and_devices():
    text = describe_env()
    assert f"python {platform.python_version()}" in text
    assert f"torch {torch.__version__}" in text
    assert "devices: " in text
