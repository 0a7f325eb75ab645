"""The map of the course names its notebooks, and says in words what it shows; whoever copies the course gets it too."""

import re
from xml.etree import ElementTree

from careedu.course.launch import copy_notebooks
from careedu.data.shipped import shipped

FOLDER = shipped("notebooks")
MAP = FOLDER / "pictures" / "course.svg"


def test_the_map_has_every_notebook_of_the_course():
    page = ElementTree.parse(MAP).getroot()
    texts = [text.text for text in page.iter("{http://www.w3.org/2000/svg}text")]
    shown = {text[:2] for text in texts if re.match(r"\d\d ", text)}
    assert shown == {path.name[:2] for path in FOLDER.glob("*.ipynb")}
    title = page.find("{http://www.w3.org/2000/svg}title").text
    assert shown == set(re.findall(r"\b\d\d\b", title))


def test_what_notebooks_link_to_is_copied_with_them(tmp_path):
    copied = copy_notebooks(tmp_path)
    assert {path.suffix for path in copied} == {".ipynb"}
    assert (tmp_path / "pictures" / "course.svg").read_bytes() == MAP.read_bytes()
    (tmp_path / "pictures" / "course.svg").write_text("mine")
    assert copy_notebooks(tmp_path) == []
    assert (tmp_path / "pictures" / "course.svg").read_text() == "mine"
