"""Findings about the classes of a data set, and of those to train on beside those to test on."""

from collections.abc import Mapping, Sequence

import numpy as np

from pet.annotations.values import shorten
from pet.engine.class_match import match_classes
from pet.engine.data_check.checked_set import CheckedSet
from pet.engine.data_check.findings import ERROR, NOTE, WARNING, Finding, counted

#: A class with fewer objects to train on is named.
FEW_OBJECTS = 10


def class_findings(sets: Sequence[CheckedSet]) -> list[Finding]:
    """Return the findings about classes without objects, or with few of them, in all ``sets``.

    They have the same classes, and are trained on together, or it is one to test on.
    """
    first = sets[0]
    per_class = np.sum([each.objects_per_class for each in sets], axis=0)
    counts = {first.class_names[label - 1]: int(per_class[label - 1]) for label in _used(first)}
    never = [name for name, count in counts.items() if not count]
    rising = sorted(counts.items(), key=lambda item: item[1])
    few = [f"{name} ({count})" for name, count in rising if 0 < count < FEW_OBJECTS]
    names = tuple(each.name for each in sets)
    findings = []
    if never:
        findings.append(
            Finding(
                severity=WARNING if first.is_train else NOTE,
                kind="classes-without-objects",
                data_sets=names,
                text=f"{_of(never, counts)} no object: {shorten(never)}",
                remedy="annotate some, or take the classes out: they cannot be learnt"
                if first.is_train
                else "they get no score",
            )
        )
    if few and first.is_train:
        findings.append(
            Finding(
                severity=WARNING,
                kind="classes-with-few-objects",
                data_sets=names,
                text=f"{_of(few, counts)} fewer than {FEW_OBJECTS} objects: {shorten(few)}",
                remedy="annotate more of them, or expect that they are hardly learnt; "
                "DATALOADER.SAMPLER_TRAIN RepeatFactorTrainingSampler shows them more often",
            )
        )
    return findings


def _of(names: Sequence[str], counts: Mapping[str, int]) -> str:
    return f"{len(names)} of {len(counts)} classes {'has' if len(names) == 1 else 'have'}"


def class_differences(trained: Sequence[CheckedSet], tested: CheckedSet) -> list[Finding]:
    """Return the findings about classes that the sets ``trained`` and ``tested`` do not share.

    The sets trained on have the same classes. In testing, classes are matched by their names.
    """
    first = trained[0]
    between = (*(each.name for each in trained), tested.name)
    names, names_here = ([each.class_names[n - 1] for n in _used(each)] for each in (first, tested))
    try:
        match = match_classes(
            first.class_names, tested.name, tested.class_names, tested.dataset.category_ids
        )
    except ValueError:
        return [_unmatched(between, names, tested.name, names_here)]
    name_of = dict(zip(tested.dataset.category_ids, tested.class_names, strict=True))
    found = {
        name: name_of.get(number) if number is not None else None
        for name, number in zip(match.class_names, match.category_ids, strict=True)
        if name in names
    }
    lacking = [name for name, here in found.items() if here is None]
    unknown = [name for name in names_here if name not in found.values()]
    never = _never_trained(trained, tested, found)
    spelt = [f"{name!r} as {here!r}" for name, here in found.items() if here not in (name, None)]
    places = [names_here.index(here) for here in found.values() if here is not None]
    differences = [
        (
            WARNING,
            "classes-not-tested",
            f"lacks {len(lacking)} of the {len(names)} classes to train on: {shorten(lacking)}",
            "they get no score; if they are there by another name, name them alike",
            lacking,
        ),
        (
            WARNING,
            "classes-unknown",
            f"has {counted(len(unknown), 'class', 'classes')} unknown to training: "
            f"{shorten(unknown)}",
            "what is not trained cannot be found; name the classes of both alike, or take these "
            "out",
            unknown,
        ),
        (
            WARNING,
            "classes-not-trained",
            f"has objects of {counted(len(never), 'class', 'classes')} without an object to train "
            f"on: {shorten(never)}",
            "they cannot be found; annotate some to train on",
            never,
        ),
        (
            NOTE,
            "classes-spelt-otherwise",
            f"spells {shorten(spelt)}; testing takes them for the same",
            "",
            spelt,
        ),
        (
            NOTE,
            "classes-in-other-order",
            "has the classes to train on in another order; testing matches them by name",
            "",
            places != sorted(places),
        ),
    ]
    return [
        Finding(
            severity=severity,
            kind=kind,
            data_sets=between,
            text=f"{tested.name} {text}",
            remedy=remedy,
        )
        for severity, kind, text, remedy, holds in differences
        if holds
    ]


def _unmatched(
    between: tuple[str, ...], names: Sequence[str], tested: str, names_here: Sequence[str]
) -> Finding:
    """Return the finding that the classes cannot be matched at all."""
    text = (
        f"the classes to train on, {shorten(names)}, and those of {tested}, "
        f"{shorten(names_here)}, have no name in common"
    )
    remedy = "name the classes of both alike"
    if set(names) & set(names_here):
        text = (
            f"the classes to train on and those of {tested} cannot be matched, as more than one "
            "has the same name"
        )
        remedy = "give each class a name of its own"
    return Finding(
        severity=ERROR, kind="classes-not-matched", data_sets=between, text=text, remedy=remedy
    )


def _never_trained(
    trained: Sequence[CheckedSet], tested: CheckedSet, found: Mapping[str, str | None]
) -> list[str]:
    """Return the classes with objects in ``tested``, and none to train on.

    ``found`` maps the names of classes to train on to those in ``tested``.
    """
    counts = np.sum([each.objects_per_class for each in trained], axis=0).tolist()
    per_class = zip(trained[0].class_names, counts, strict=True)
    empty = {found.get(name) for name, count in per_class if not count}
    return [
        name
        for name, count in zip(tested.class_names, tested.objects_per_class, strict=True)
        if count and name in empty
    ]


def _used(checked: CheckedSet) -> list[int]:
    return checked.used_labels.tolist()
