"""A pack is checked with nothing but the pack: whatever is changed, left out or put in is found and named."""

import hashlib
import io
import json
import re
import zipfile
from pathlib import Path

import pytest

from analytics import pack_check
from analytics.exports import FolderTaken, render, write
from analytics.pack import UNSIGNED
from tests.analytics.packs import draft

TOOL = "tollway test"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(render(draft(), UNSIGNED, {}, tool=TOOL), tmp_path / "pack")
    return tmp_path / "pack"


def vouch(folder: Path, name: str) -> None:
    """Make the manifest vouch for the file as it is now: what a forger would do."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    content = (folder / name).read_bytes()
    for file in manifest["files"]:
        if file["name"] == name:
            file |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def faults(folder: Path, previous: Path | None = None) -> list[str]:
    return [f"{fault.file} {fault.words}" for fault in pack_check.check(folder, previous)]


def test_a_pack_as_it_was_written_has_no_fault(folder: Path) -> None:
    assert faults(folder) == []


@pytest.mark.parametrize("name", [*pack_check.FILES, "recon.xlsx"])
def test_a_file_that_was_changed_lost_or_added_is_named(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-3] + b"9" + content[-2:])
    assert re.match(f"{name} was changed", faults(folder)[0])
    (folder / name).unlink()
    assert faults(folder) == [f"{name} cannot be read: No such file or directory"]
    (folder / name).write_bytes(content)
    (folder / "more.csv").write_bytes(b"")
    assert faults(folder) == ["more.csv is in the folder and not in the manifest"]


@pytest.mark.parametrize(
    ("name", "was", "becomes", "found"),
    [
        ("recon_lines.csv", b",0.0106,", b",0.0107,", "recon_lines.csv invoiced sums to"),
        ("recon_by_alias_tenant.csv", b"acme,", b"zeta,", "focus_cost_and_usage.csv charges acme 0."),
        ("recon_summary.csv", b"0.51078", b"0.51079", "recon_summary.csv invoiced sums to 0.51079"),
        ("focus_invoice_detail.csv", b"\r\n0.5,", b"\r\n0.6,", "focus_invoice_detail.csv billed sums to"),
        ("focus_cost_and_usage.csv", b"\r\n0.5,", b"\r\n5E-1,", "the CSVs hold what is no number"),
    ],
)
def test_a_forger_who_mends_the_hashes_is_caught_by_the_sums(
    folder: Path, name: str, was: bytes, becomes: bytes, found: str
) -> None:
    content = (folder / name).read_bytes()
    assert was in content
    (folder / name).write_bytes(content.replace(was, becomes, 1))
    vouch(folder, name)
    told = faults(folder)
    assert any(each.startswith(found) for each in told), told


def test_a_row_whose_classes_were_moved_is_named_though_every_sum_agrees(folder: Path) -> None:
    text = (folder / "recon_lines.csv").read_text("utf-8").split("\n")
    columns = text[0].split(",")
    at, variance = columns.index("var_unexplained"), columns.index("variance")
    rows = [line.split(",") for line in text[1:3]]
    rows[0][at], rows[1][at] = rows[1][at] + "1" if rows[1][at] != "0" else "1", "-1"
    (folder / "recon_lines.csv").write_text("\n".join([text[0], *map(",".join, rows), *text[3:]]), "utf-8")
    assert variance
    vouch(folder, "recon_lines.csv")
    assert "recon_lines.csv row 2: its classes, its variance and its two costs do not agree" in faults(folder)


def test_the_chain_is_followed_to_the_pack_before(folder: Path, tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    write(render(draft(previous=files), UNSIGNED, {}, tool=TOOL), tmp_path / "next")
    assert faults(tmp_path / "next", folder) == []
    assert faults(folder, tmp_path / "next") == ["manifest.json names no pack before it"]
    manifest = folder / "manifest.json"
    manifest.write_bytes(manifest.read_bytes() + b" ")
    assert "stands on the pack of 2026-11 with another manifest" in faults(tmp_path / "next", folder)[0]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format": "tollway-month-2"}', b'{"format": "x"}', b"\xff"])
def test_what_is_no_manifest_is_told_and_nothing_is_raised(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    assert faults(folder)


def test_two_packs_of_the_same_facts_are_the_same_bytes_and_the_workbook_has_its_ids_as_text(folder: Path) -> None:
    once, again = (render(draft(), UNSIGNED, {}, tool=TOOL) for _ in range(2))
    assert once.files == again.files
    with zipfile.ZipFile(io.BytesIO(once.files["recon.xlsx"])) as book:
        assert {info.date_time[0] for info in book.infolist()} == {1980}
        assert b"1980-01-01T00:00:00Z</dcterms:created>" in book.read("docProps/core.xml")
        sheet, names = book.read("xl/worksheets/sheet1.xml").decode(), book.read("xl/workbook.xml").decode()
        assert b"<f>" not in b"".join(book.read(name) for name in book.namelist())
    assert re.findall(r'sheet name="(\w+)"', names) == [
        "recon_summary",
        "recon_lines",
        "recon_by_alias_tenant",
        "recon_exceptions",
    ]
    account = re.search(r'<c r="D2" s="(\d)" t="s">', sheet)
    assert account, "an account's id is text"
    assert re.search(r'<c r="G2"><v>0.5\d+</v>', sheet), "an amount is a number"


def test_another_months_folder_is_not_overwritten(folder: Path) -> None:
    made = render(draft(), UNSIGNED, {}, tool=TOOL)
    manifest = json.loads((folder / "manifest.json").read_bytes()) | {"month": "2026-10"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(FolderTaken, match="holds the files of 2026-10"):
        write(made, folder)
