"""Accounts: secrets are shown once and kept as hashes, tokens end, roles bind, the audit trail tells of tampering."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, text, update

from analytics import control, trail
from analytics.accounts import Actor, Forbidden, NoAccess, Right, book, roles
from analytics.accounts.book import AccountInvalid, Unauthenticated
from analytics.control import ControlDown
from deploy.control import Doorway
from gateway.control.database import Database

NOW = datetime(2026, 12, 2, 9, tzinfo=UTC)
BY = "operator:root"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    database = Database.under(tmp_path)
    door = Doorway(database)
    with door.transaction() as open_one:
        yield open_one
    database.close()


def test_a_token_says_who_sends_it_until_it_expires(connection: Connection) -> None:
    book.add(connection, "mia", ["finance", "tenant:acme"], by=BY, now=NOW)
    token = book.issue(connection, "mia", days=1, by=BY, now=NOW)
    almost = NOW + timedelta(days=1) - timedelta(microseconds=1)
    assert book.authenticate(connection, token, now=almost) == Actor("mia", frozenset({"finance", "tenant:acme"}))
    with pytest.raises(Unauthenticated, match="expired"):
        book.authenticate(connection, token, now=NOW + timedelta(days=1))
    with pytest.raises(Unauthenticated):
        book.authenticate(connection, token[:-1], now=NOW)


def test_a_disabled_account_gets_in_by_no_token_and_no_password_and_is_not_made_again(connection: Connection) -> None:
    password = book.add(connection, "mia", ["sre"], by=BY, now=NOW)
    token = book.issue(connection, "mia", days=1, by=BY, now=NOW)
    book.disable(connection, "mia", by=BY, now=NOW)
    with pytest.raises(Unauthenticated):
        book.authenticate(connection, token, now=NOW)
    assert book.sign_in(connection, "mia", password, now=NOW) is None
    for again in (
        lambda: book.issue(connection, "mia", days=1, by=BY, now=NOW),
        lambda: book.add(connection, "mia", ["sre"], by=BY, now=NOW),
    ):
        with pytest.raises(AccountInvalid):
            again()


def test_after_five_wrong_passwords_an_account_rests_and_then_takes_the_right_one(connection: Connection) -> None:
    password = book.add(connection, "mia", ["sre"], by=BY, now=NOW)
    for _ in range(5):
        assert book.sign_in(connection, "mia", "wrong", now=NOW) is None
    assert book.sign_in(connection, "mia", password, now=NOW) is None
    assert book.sign_in(connection, "nobody", password, now=NOW) is None
    assert book.sign_in(connection, "mia", password, now=NOW + timedelta(seconds=2)) == Actor("mia", frozenset({"sre"}))
    rests = [book.rests_until(failures, control.stamp(NOW)) - NOW for failures in (4, 5, 6, 40)]
    assert [rest.total_seconds() for rest in rests] == [0, 2, 4, 300]


def test_no_secret_is_kept_as_it_is_given(connection: Connection) -> None:
    password = book.add(connection, "mia", ["sre"], by=BY, now=NOW)
    token = book.issue(connection, "mia", days=1, by=BY, now=NOW)
    kept = [
        str(row) for table in (book.ACCOUNTS, book.TOKENS, trail.TRAIL) for row in connection.execute(table.select())
    ]
    assert not [row for row in kept if password in row or token in row or token.removeprefix("tollway_") in row]
    assert [(e.action, e.actor) for e in trail.entries(connection, subject="mia")] == [
        ("account_added", BY),
        ("token_issued", BY),
    ]


@pytest.mark.parametrize("wrong", ["boss", "tenant:", "tenant:a b", "FINANCE", ""])
def test_a_role_that_does_not_exist_is_refused_by_name(connection: Connection, wrong: str) -> None:
    with pytest.raises(roles.RoleInvalid, match="is no role; write finance, "):
        book.add(connection, "mia", [wrong], by=BY, now=NOW)


def test_rights_come_from_roles_alone_and_a_refusal_names_the_role_that_would_do() -> None:
    held = {
        role: {right.name for right in Actor("x", frozenset({role})).rights} for role in (*roles.RIGHTS, "tenant:a")
    }
    assert held == {
        "finance": {"READ", "PREPARE"},
        "finance_approver": {"READ", "PREPARE", "REVIEW"},
        "sre": {"READ"},
        "admin": {"READ", "ACCOUNTS"},
        "tenant:a": set(),
    }
    with pytest.raises(Forbidden, match=r"mia may not review.* takes the role finance_approver"):
        Actor("mia", frozenset({"finance"})).require(Right.REVIEW)


def test_a_tenants_viewer_is_bound_to_it_and_a_wider_role_lifts_the_bound() -> None:
    viewer = Actor("viewer", frozenset({"tenant:acme", "tenant:globex"}))
    assert roles.tenants_seen(viewer.name, viewer.tenants, ()) == ("acme", "globex")
    with pytest.raises(NoAccess, match="may not see initech"):
        roles.tenants_seen(viewer.name, viewer.tenants, ("acme", "initech"))
    assert Actor("both", frozenset({"tenant:acme", "sre"})).tenants is None


def test_the_database_refuses_to_change_the_audit_trail(tmp_path: Path) -> None:
    database = Database.under(tmp_path)
    door = Doorway(database)
    with door.transaction() as connection:
        trail.append(connection, at=NOW, actor=BY, action="a", subject="s")
    for change in ("UPDATE audit_trail SET actor = 'x'", "DELETE FROM audit_trail"):
        with pytest.raises(ControlDown, match="append-only"), door.transaction() as connection:
            connection.execute(text(change))
    database.close()


@pytest.mark.parametrize("change", ["actor", "detail", "at", "hash", "gone"])
def test_whoever_edits_the_trail_behind_the_databases_back_is_found_out(connection: Connection, change: str) -> None:
    for number in range(4):
        trail.append(connection, at=NOW, actor=BY, action="a", subject="s", detail={"n": number})
    assert trail.broken(connection) == ""
    connection.execute(text("DROP TRIGGER audit_trail_no_update"))
    connection.execute(text("DROP TRIGGER audit_trail_no_delete"))
    if change == "gone":
        connection.execute(trail.TRAIL.delete().where(trail.TRAIL.c.number == 2))
    else:
        connection.execute(update(trail.TRAIL).where(trail.TRAIL.c.number == 2).values({change: "1"}))
    assert "row 2 of the audit trail" in trail.broken(connection)


def test_a_row_that_was_changed_and_hashed_anew_breaks_the_link_of_the_next(connection: Connection) -> None:
    for number in range(3):
        trail.append(connection, at=NOW, actor=BY, action="a", subject="s", detail={"n": number})
    connection.execute(text("DROP TRIGGER audit_trail_no_update"))
    names = ("number", "at", "actor", "action", "subject", "detail", "previous")
    row = connection.execute(trail.TRAIL.select().where(trail.TRAIL.c.number == 2)).mappings().one()
    forged = {name: row[name] for name in names} | {"actor": "someone else"}
    of_second = trail.TRAIL.c.number == 2
    connection.execute(update(trail.TRAIL).where(of_second).values(**forged, hash=trail._hash(forged)))
    assert "row 3 of the audit trail" in trail.broken(connection)
