"""What the pages of the project point at is there."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from samples import REPOSITORY

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "config/*.md", "results/*.md")
    for path in REPOSITORY.glob(pattern)
    if path.is_file()
)
LINK = re.compile(r"\]\(([^()\s]+(?:\([^()\s]*\)[^()\s]*)*)\)")
HEADING = re.compile(r"^#+ +(.+?) *#*$", re.MULTILINE)
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    found: dict[str, int] = {}
    for heading in HEADING.findall(re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        found[name] = found.get(name, -1) + 1
    return {f"{name}-{number}" if number else name for name, last in found.items() for number in range(last + 1)}


def broken(page: Path) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    lost = []
    for link in LINK.findall(CODE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    return lost


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_relative_links_lead_somewhere(page):
    assert not broken(page)


def test_a_link_to_nothing_is_found(tmp_path):
    page = tmp_path / "page.md"
    (tmp_path / "other.md").write_text("# A `name` of [things](x)\n\n# Twice\n\n# Twice\n")
    right = ["other.md", "other.md#a-name-of-things", "other.md#twice-1", "#here", "https://example.org/x", "."]
    wrong = ["no.md", "other.md#none", "other.md#twice-2", "#there"]
    page.write_text("# Here\n" + "".join(f"[to]({link})\n" for link in right + wrong) + "`[code](nowhere)`\n")
    assert broken(page) == wrong


def test_every_decision_is_in_the_index():
    folder = REPOSITORY / "docs" / "decisions"
    index = (folder / "README.md").read_text()
    records = {path.name for path in folder.glob("*.md")} - {"README.md"}
    assert set(re.findall(r"\]\(([\w-]+\.md)\)", index)) == records
    for name in records:
        text = (folder / name).read_text()
        date = re.search(r"^(\d{4}-\d{2}-\d{2}), accepted\.$", text, re.MULTILINE)
        assert date, name
        assert f"]({name}) | {date[1]} |" in index
        assert HEADING.findall(text)[1:] == ["Context", "Decision", "Consequences"]


def test_the_release_is_the_same_everywhere():
    version = re.search(r'^version = "(.+)"$', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)[1]
    citation = (REPOSITORY / "CITATION.cff").read_text()
    date = re.search(r"^date-released: (.+)$", citation, re.MULTILINE)[1]
    assert f"\nversion: {version}\n" in citation
    assert f"\n## {version} ({date})\n" in (REPOSITORY / "CHANGELOG.md").read_text()
