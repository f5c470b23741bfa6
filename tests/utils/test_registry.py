import pytest

from pet.utils.registry import Registry


@pytest.fixture
def trunks() -> Registry[str]:
    registry: Registry[str] = Registry("trunk", "MODEL.CONV_BODY")
    registry.register("resnet50")("fifty")
    registry.register("resnet18")("eighteen")
    return registry


def test_a_part_comes_back_under_its_name(trunks):
    assert trunks["resnet18"] == "eighteen"
    assert "resnet18" in trunks
    assert "resnet34" not in trunks
    assert list(trunks) == ["resnet50", "resnet18"]


def test_register_is_a_decorator_that_changes_nothing(trunks):
    def part() -> int:
        return 3

    assert trunks.register("part")(part) is part
    assert trunks["part"] is part


def test_an_unknown_name_is_told_with_the_key_and_the_choices(trunks):
    with pytest.raises(KeyError) as error:
        trunks["resnet5"]
    assert str(error.value) == (
        "no trunk named 'resnet5' (MODEL.CONV_BODY); did you mean 'resnet50'? "
        "choose from resnet18, resnet50"
    )


def test_a_name_like_no_other_gets_no_guess(trunks):
    with pytest.raises(KeyError, match=r"\(MODEL.CONV_BODY\); choose from resnet18, resnet50"):
        trunks["vgg"]


def test_a_family_has_all_names_of_its_prefix(trunks):
    trunks.register_family("timm/")("any")
    assert trunks["timm/vgg"] == "any"
    assert trunks["resnet18"] == "eighteen"
    assert "timm/vgg" in trunks and "vgg" not in trunks
    with pytest.raises(KeyError, match="choose from resnet18, resnet50, timm/<name>"):
        trunks["vgg"]


def test_an_empty_registry_says_so():
    with pytest.raises(KeyError, match="choose from none registered"):
        Registry("head", "X.HEAD")["a"]


def test_a_taken_name_is_refused(trunks):
    with pytest.raises(KeyError, match="already a trunk named 'resnet18'"):
        trunks.register("resnet18")("another")
    assert trunks["resnet18"] == "eighteen"


def test_a_taken_prefix_is_refused(trunks):
    trunks.register_family("timm/")("any")
    with pytest.raises(KeyError, match="already a trunk for names that begin with 'timm/'"):
        trunks.register_family("timm/")("another")
    assert trunks["timm/vgg"] == "any"
