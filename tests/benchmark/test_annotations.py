import json

from pet.annotations import read_annotations
from tools.benchmark.annotations import READERS, write_annotations


def test_the_made_up_file_is_sound_and_every_reader_takes_it(tmp_path):
    file = tmp_path / "a.json"
    write_annotations(file, images=20, objects=100)
    content = json.loads(file.read_text())
    assert (len(content["images"]), len(content["annotations"])) == (20, 100)
    table = read_annotations(file)
    assert not table.box_flaws.any() and not table.mask_flaws.any()
    for read in READERS.values():
        assert read(file, tmp_path / "cache") is not None
