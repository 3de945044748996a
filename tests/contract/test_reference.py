"""deploy/docs/configuration.md has each key of the file once, with the default that it has in the code; metrics.md has
each metric that a part shows, and every header of ours is told on a page."""

import re
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from deploy.settings import TollwayFile
from gateway.api.app import VERSION

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "deploy" / "docs"
PAGES = {page.name: page.read_text("utf-8") for page in sorted(DOCS.glob("*.md"))}
README = (ROOT / "README.md").read_text("utf-8")
PARTS = ("gateway", "collector", "analytics", "dashboards")
SOURCES = "\n".join(path.read_text("utf-8") for part in PARTS for path in sorted((ROOT / part).rglob("*.py")))


def sections(annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """The sections that a field holds, with what is put behind its name: [] of a list, .NAME of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "", annotation
        return
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated or origin is UnionType or str(origin) == "typing.Union":
        for one in inner[:1] if origin is Annotated else inner:
            yield from sections(one)
    elif origin is tuple:
        yield from (("[]", found) for _, found in sections(inner[0]))
    elif origin is dict:
        yield from ((".NAME", found) for _, found in sections(inner[1]))


def shown(field: FieldInfo) -> str:
    """A default as the page writes it."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    value = value.get_secret_value() if isinstance(value, SecretStr) else value
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if value == {}:
        return "none listed"
    if isinstance(value, tuple):
        return ", ".join(one.value if isinstance(one, Enum) else one for one in value) or "none listed"
    if isinstance(value, float | int | Decimal):
        return f"{value:f}".rstrip("0").rstrip(".") if "." in f"{value:f}" else str(value)
    return str(value) or "empty"


def keys(section: type[BaseModel], path: str, seen: set[type[BaseModel]]) -> Iterator[tuple[str, str]]:
    """Each key of a section that holds a value, by its path, with its default. A section that is met again (a target
    below an alias's ladder) is one key there: its own keys are told where it was met first."""
    for name, field in section.model_fields.items():
        here = f"{path}.{name}" if path else name
        inner = list(sections(field.annotation))
        if name != "name" and (not inner or any(found in seen for _, found in inner)):
            yield here, shown(field)
        for behind, found in inner:
            if found not in seen:
                seen.add(found)
                entry = ".TIER" if here == "aliases.NAME.tiers" else behind
                yield from keys(found, here + entry, seen)


CODE = dict(keys(TollwayFile, "", set()))
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]*) \| ([^|]+) \|$", re.MULTILINE)


def rows() -> list[tuple[str, str, str]]:
    """Path, default and meaning of each row of the page's tables; a heading names what its table is below."""
    found = []
    for part in PAGES["configuration.md"].split("\n## ")[1:]:
        above = re.match(r"`([^`]+)`", part)
        stem = f"{above[1]}." if above else ""
        found += [(stem + key, default.strip(), meaning) for key, default, meaning in ROW.findall(part)]
    return found


def test_every_key_of_the_file_is_on_the_page_once_and_no_other_is() -> None:
    told = [path for path, _, _ in rows()]
    assert sorted(told) == sorted(CODE)


def test_every_default_on_the_page_is_the_codes() -> None:
    assert {path: default for path, default, _ in rows()} == CODE


def test_no_other_page_has_a_table_of_keys_and_defaults() -> None:
    others = {name: text for name, text in PAGES.items() if name != "configuration.md"}
    assert [name for name, text in others.items() if re.search(r"^\| *key *\| *default", text, re.MULTILINE)] == []


def metrics() -> set[str]:
    """Every metric that the parts' sources name, without what Prometheus puts behind it."""
    plain = set(re.findall(r'"(tollway_[a-z_]+[a-z])"', SOURCES))
    of_collector = set(re.findall(r'(?:_counter\(|PREFIX \+ )\s*"([a-z_]+)"', SOURCES))
    budgets = {f"tollway_budget_{what}_usd" for what in ("limit", "used", "reserved")}
    cache = {f"tollway_cache_{what}" for what in ("hits", "misses", "bypasses")}
    return {re.sub("_total$", "", name) for name in plain | budgets | cache} | {
        f"tollway_collector_{name}" for name in of_collector
    }


def test_every_metric_is_on_its_page_once_and_no_other_is() -> None:
    told = [
        re.sub("_total$", "", name) for name in re.findall(r"^\| `(tollway_[a-z_]+)", PAGES["metrics.md"], re.MULTILINE)
    ]
    assert sorted(told) == sorted(metrics())


HEADERS = sorted(set(re.findall(r"x-tollway-[a-z]+(?:-[a-z]+)*", SOURCES)))


@pytest.mark.parametrize("name", HEADERS)
def test_every_header_of_ours_is_told_on_the_page_of_the_wire(name: str) -> None:
    assert f"`{name}`" in PAGES["wire.md"]


def test_no_page_tells_of_a_header_that_is_not_there() -> None:
    written = re.findall(r"x-tollway-[a-z]+(?:-[a-z]+)*", "\n".join([README, *PAGES.values()]))
    assert sorted(set(written) - set(HEADERS)) == []


def test_the_readme_is_the_index_of_the_pages() -> None:
    assert sorted(set(re.findall(r"deploy/docs/([a-z-]+\.md)", README))) == sorted(PAGES)


def test_every_link_between_pages_leads_somewhere() -> None:
    lost = []
    for folder, text in ((ROOT, README), *((DOCS, page) for page in PAGES.values())):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            if not target.startswith("http") and not (folder / target).exists():
                lost.append(target)
    assert lost == []


REFERENCE = {"configuration.md", "metrics.md", "misbillings.md", "peer-faults.md"}


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_has_one_title_and_on_a_part_ends_with_what_that_part_does_not_do(name: str) -> None:
    prose = re.sub(r"^```.*?^```", "", PAGES[name], flags=re.MULTILINE | re.DOTALL)
    assert len(re.findall(r"^# ", prose, re.MULTILINE)) == 1
    assert name in REFERENCE or re.findall(r"^## (.+)", prose, re.MULTILINE)[-1] == "What it does not do"


def test_the_version_is_one_everywhere() -> None:
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    told = re.findall(r"^## (\S+),", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert VERSION == packaged == told[0]


def glossary() -> list[str]:
    table = README.split("\n## Glossary\n")[1].split("\n## ")[0]
    return [word for cell in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)[1:] for word in cell.split(", ")]


def test_the_glossary_has_each_word_once_in_the_order_of_the_alphabet() -> None:
    assert glossary() == sorted(set(glossary()), key=str.lower)


USED = (
    "account, alias, answer cache, attempt, breaker, brownout, budget, canary, contract, fuse, host, intent, journal, "
    "ladder, lease, micro-batch, operation, quota, rate card, reason, reservation, residency, rung, session, slot, "
    "spool, target, tenant, tier, upstream, wave"
)


@pytest.mark.parametrize("word", USED.split(", "))
def test_the_glossary_says_what_a_word_of_the_pages_means(word: str) -> None:
    assert word in glossary()
