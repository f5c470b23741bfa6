import pytest

from pet.engine.class_match import match_classes

SAME = ("cat", "dog")


@pytest.mark.parametrize("trained", [SAME, ()])
def test_the_same_classes_or_none_known(trained):
    match = match_classes(trained, "mine", SAME, (3, 7))
    assert (match.category_ids, match.class_names, match.note) == ((3, 7), SAME, "")


def test_names_that_come_twice_are_fine_where_all_are_the_same():
    assert match_classes(("a", "a"), "mine", ("a", "a"), (1, 2)).category_ids == (1, 2)
    with pytest.raises(ValueError, match=r"'mine'.* 'a' comes more than once; give each"):
        match_classes(("a", "a"), "mine", ("a", "b"), (1, 2))
    with pytest.raises(ValueError, match="'b' comes more than once"):
        match_classes(("a", "b"), "mine", ("b", "b"), (1, 2))


def test_another_order():
    match = match_classes(("dog", "cat"), "mine", SAME, (3, 7))
    assert match.category_ids == (7, 3) and match.class_names == ("dog", "cat")
    assert match.note.endswith("are matched by their names") and not match.is_partial


def test_some_of_each():
    match = match_classes(("dog", "cow", "cat"), "mine", ("cat", "dog", "eel"), (3, 7, 9))
    assert match.category_ids == (7, None, 3)
    assert "lacks cow, and what is found of them is left out" in match.note
    assert "the weights lack eel, which cannot be found" in match.note
    assert match.is_partial


def test_labels_that_stand_for_no_class_are_no_names():
    by_id = ("cat", "N/A", "dog")
    assert match_classes(by_id, "mine", SAME, (1, 3)).category_ids == (1, None, 3)
    assert match_classes(SAME, "mine", by_id, (1, 2, 3)).category_ids == (1, 3)
    with pytest.raises(ValueError, match="no name is in both"):
        match_classes(("N/A", "cow"), "mine", by_id, (1, 2, 3))


def test_case_and_spaces_do_not_matter():
    assert match_classes((" Dog", "CAT"), "mine", SAME, (3, 7)).category_ids == (7, 3)
    assert match_classes(("Cat", "dog"), "mine", SAME, (3, 7)).category_ids == (3, 7)
    # Where they are all that tells two classes apart, they do.
    assert match_classes(("cat", "Cat", "dog"), "mine", SAME, (3, 7)).category_ids == (3, None, 7)
    two = match_classes(("cat", "Cat", "dog"), "mine", ("CAT", "dog"), (3, 7))
    assert two.category_ids == (None, None, 7)


def test_nothing_in_common_names_both_and_a_remedy():
    with pytest.raises(
        ValueError, match=r"data set 'mine': cow there, cat, dog here, and no name .*; test on data"
    ):
        match_classes(("cow",), "mine", SAME, (3, 7))
