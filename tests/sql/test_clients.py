"""Addresses the clients take, and those they refuse before anything is sent."""

import pytest

from sql import clients


@pytest.mark.parametrize("url", ["127.0.0.1:8123", "ftp://x", "http://", "clickhouse://x", ""])
def test_an_address_that_is_not_http_is_refused_with_what_is_expected(url):
    with pytest.raises(ValueError, match=r"http://host:port"):
        clients.writer(url, "p" * 32)


def test_a_password_in_the_address_is_refused_and_not_repeated():
    with pytest.raises(ValueError, match="carries a password") as refusal:
        clients.reader("http://me:hunter2@127.0.0.1:8123", "p" * 32)
    assert "hunter2" not in str(refusal.value)


def test_a_port_is_guessed_from_the_scheme_and_a_remote_link_is_compressed():
    options = clients.options("https://ch.example.com", "tollway", "p" * 32, 5)
    assert (options["port"], options["interface"], options["compress"]) == (8443, "https", True)
    assert clients.options("http://127.0.0.1", "tollway", "p" * 32, 5)["compress"] is False
