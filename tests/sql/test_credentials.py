"""Passwords: made once, kept in files only their owner reads, told apart by user."""

import subprocess
import sys
from pathlib import Path

import pytest

from sql import credentials
from sql.credentials import READER, WRITER, Credentials, CredentialsError

ROOT = Path(__file__).parents[2]


def test_the_first_start_makes_two_passwords_and_later_ones_keep_them(tmp_path):
    first = credentials.ensure(tmp_path)
    assert credentials.ensure(tmp_path) == first
    assert first.writer != first.reader
    assert min(len(first.writer), len(first.reader)) >= 32
    assert (credentials.read(tmp_path, WRITER), credentials.read(tmp_path, READER)) == (first.writer, first.reader)


def test_only_the_owner_may_look(tmp_path):
    (tmp_path / "secrets").mkdir(mode=0o755)
    credentials.ensure(tmp_path)
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    files = sorted((tmp_path / "secrets").iterdir())
    assert [f.name for f in files] == ["store-reader", "store-writer"]
    assert {f.stat().st_mode & 0o777 for f in files} == {0o600}


@pytest.mark.slow
def test_two_starts_at_once_agree_on_one_password(tmp_path):
    code = (
        "import sys, pathlib; from sql import credentials; print(credentials.ensure(pathlib.Path(sys.argv[1])).writer)"
    )
    starts = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    said = {start.communicate()[0] for start in starts}
    assert len(said) == 1
    assert len(list((tmp_path / "secrets").iterdir())) == 2


def test_a_user_is_admitted_by_their_own_password_alone():
    both = Credentials(writer="w" * 32, reader="r" * 32)
    assert both.admit(WRITER, "w" * 32) == WRITER
    assert both.admit(READER, "r" * 32) == READER
    for user, password in (
        (WRITER, "r" * 32),
        (READER, "w" * 32),
        ("default", "w" * 32),
        (WRITER, ""),
        (WRITER, "\u00fc"),
    ):
        assert both.admit(user, password) is None


def test_passwords_are_not_in_a_repr():
    assert "s3cret" not in repr(Credentials(writer="s3cret" * 6, reader="s3cret" * 6))


def test_a_password_not_made_yet_and_one_cut_short_are_clear_errors(tmp_path):
    with pytest.raises(CredentialsError, match="start the store once"):
        credentials.read(tmp_path, READER)
    credentials.ensure(tmp_path)
    (tmp_path / "secrets" / "store-reader").write_text("short\n")
    with pytest.raises(CredentialsError, match="delete it"):
        credentials.ensure(tmp_path)
