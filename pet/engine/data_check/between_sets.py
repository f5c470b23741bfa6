"""Findings about pictures that come twice, in one data set or two, and about those not named."""

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from pet.data.formats.pictures import list_pictures
from pet.engine.data_check.findings import ERROR, NOTE, WARNING, Finding, Where, counted
from pet.engine.data_check.picture_findings import Files
from pet.engine.data_check.pictures import Picture, equal_pictures


def double_pictures(sets: Sequence[Files], pictures: Mapping[str, Picture]) -> list[Finding]:
    """Return the findings about pictures with the same bytes, within a set and between two.

    A data set trained and tested on is not compared with itself.
    """
    group_of = {path: path for path in pictures}
    for paths in equal_pictures(pictures):
        group_of |= dict.fromkeys(paths, paths[0])
    findings: list[Finding] = []
    seen: set[str] = set()
    for files in sets:
        if files.checked.name not in seen:
            findings += _within(files, group_of)
        seen.add(files.checked.name)
    for first, other in combinations(sets, 2):
        if first.checked.name != other.checked.name:
            findings += _between(first, other, group_of)
    return findings


def _groups(files: Files, group_of: Mapping[str, str]) -> dict[str, list[int]]:
    """Return group -> the indices of its images."""
    groups: dict[str, list[int]] = {}
    for n in files.present:
        groups.setdefault(group_of[files.paths[n]], []).append(n)
    return groups


def _within(files: Files, group_of: Mapping[str, str]) -> Iterable[Finding]:
    pairs = [(n, group[0]) for group in _groups(files, group_of).values() for n in group[1:]]
    if pairs:
        details = [f"{files.shown(n)}, as image {files.checked.image_ids[m]}" for n, m in pairs]
        yield Finding(
            severity=WARNING,
            kind="repeated-pictures",
            data_sets=(files.checked.name,),
            text=f"{counted(len(pairs), 'picture')} the same as an earlier one, byte by byte",
            remedy="take them out, or join the objects of both into one image",
            where=files.where([n for n, _ in pairs], details),
        )


def _between(first: Files, other: Files, group_of: Mapping[str, str]) -> Iterable[Finding]:
    groups = _groups(other, group_of)
    common = [
        (n, groups[group][0])
        for group, indices in _groups(first, group_of).items()
        if group in groups
        for n in indices
    ]
    purposes = {first.checked.is_train, other.checked.is_train}
    if not common or purposes == {False}:
        return
    name = other.checked.name
    details = [
        f"{first.shown(n)}, as image {other.checked.image_ids[m]} of {name}" for n, m in common
    ]
    leaks = purposes == {True, False}
    yield Finding(
        severity=ERROR if leaks else WARNING,
        kind="pictures-trained-and-tested" if leaks else "repeated-pictures",
        data_sets=(first.checked.name, name),
        text=f"{counted(len(common), 'picture')} of {first.checked.name} "
        f"{'is' if len(common) == 1 else 'are'} in {name}, too"
        + (": the scores tell nothing about new pictures" if leaks else ""),
        remedy="take them out of one of the two",
        where=first.where([n for n, _ in common], details),
    )


def same_sets(trained: Sequence[str], tested: Sequence[str]) -> list[Finding]:
    """Return the findings about names among those ``trained`` and those ``tested``."""
    return [
        Finding(
            severity=WARNING,
            kind="same-data-set",
            data_sets=(name,),
            text=f"{name} is in TRAIN.DATASETS and in TEST.DATASETS: the scores tell nothing about "
            "new pictures",
            remedy="test on other pictures",
        )
        for name in dict.fromkeys(trained)
        if name in tested
    ]


def unnamed_pictures(sets: Sequence[Files]) -> list[Finding]:
    """Return the findings about pictures in the folders of data sets that none of them names."""
    named: dict[Path, set[str]] = {}
    users: dict[Path, list[str]] = {}
    for files in sets:
        folder = getattr(files.checked.dataset, "folder", None)
        if files.are_read and folder is not None:
            table = files.checked.table
            every = table.file_names(np.arange(len(table.image_ids)))
            names = named.setdefault(folder, set())
            names |= {str(name).replace("\\", "/") for name in every}
            names |= {os.path.relpath(path, folder) for path in files.paths}  # as they were found
            if files.checked.name not in users.setdefault(folder, []):
                users[folder].append(files.checked.name)
    findings = []
    for folder, names in named.items():
        known = {Path(name).as_posix() for name in names}
        others = [name for name in list_pictures(folder) if name not in known]
        if others:
            findings.append(
                Finding(
                    severity=NOTE,
                    kind="pictures-without-annotations",
                    data_sets=tuple(users[folder]),
                    text=f"{counted(len(others), 'picture')} in {folder} that no annotation names: "
                    "not used",
                    where=Where(details=tuple(others)),
                )
            )
    return findings
