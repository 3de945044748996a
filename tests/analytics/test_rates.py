"""Price lists of others become cards when somebody approves them, and never otherwise; the past stays what it was."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.rates.approval import NotApproved, PriceChange, approve, differences
from analytics.rates.genai import genai
from analytics.rates.proposal import NothingPending, Proposal, Skipped, pending
from analytics.rates.sources import Asked, SourceInvalid, csv_rows, litellm, openrouter
from gateway.domain.card_file import Approval, CardFile, CardFileInvalid, newest, read, together
from gateway.domain.rate_card import Multiplier, Provenance, RateBook, RateCard, RateCardInvalid
from gateway.domain.usage import TokenClass
from tests.analytics.recon_builders import OUT, card, instant

IN, READ = TokenClass.INPUT_UNCACHED, TokenClass.CACHE_READ
NOW = instant("2026-11-20T09:30")
LATER = NOW + timedelta(days=10)
ASKED = Asked("litellm map.json", NOW, "ab" * 32, NOW)


def told(cards: list[RateCard]) -> list[tuple[str, str, int, dict[str, str]]]:
    return [
        (one.model, one.processing_tier, one.prompt_from,
         {str(k): f"{v.normalize():f}" for k, v in one.per_million.items()})
        for one in cards
    ]  # fmt: skip


def proposed(*cards: RateCard, source: str = "litellm map.json", at_approval: bool = False) -> Proposal:
    marked = tuple(replace(one, provenance=Provenance(source, NOW)) for one in cards)
    return Proposal(source, NOW, "ab" * 32, marked, at_approval=at_approval)


LITELLM = b"""{"sample_spec": {"litellm_provider": "one of them"},
 "gpt-5.4": {"litellm_provider": "openai", "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1.5e-05,
   "cache_read_input_token_cost": 2.5e-07, "input_cost_per_token_above_272k_tokens": 5e-06,
   "output_cost_per_token_above_272k_tokens": 2.25e-05, "cache_read_input_token_cost_above_272k_tokens": 5e-07,
   "input_cost_per_token_batches": 1.25e-06, "output_cost_per_token_batches": 7.5e-06,
   "input_cost_per_token_above_272k_tokens_batches": 2.5e-06},
 "groq/llama": {"litellm_provider": "groq", "input_cost_per_token": 3.75e-08, "output_cost_per_token": 0},
 "dashscope/qwen": {"litellm_provider": "dashscope", "tiered_pricing": [{"range": [0, 32000]}]},
 "dear": {"litellm_provider": "openai", "input_cost_per_token": -1}}"""


def test_litellms_map_gives_cards_of_each_tier_and_band_with_the_digits_that_it_writes() -> None:
    cards, skipped = litellm(LITELLM, ASKED)
    assert told(cards) == [
        ("gpt-5.4", "", 0, {"input_uncached": "2.5", "cache_read": "0.25", "output": "15"}),
        ("gpt-5.4", "", 272_001, {"input_uncached": "5", "cache_read": "0.5", "output": "22.5"}),
        ("gpt-5.4", "batch", 0, {"input_uncached": "1.25", "output": "7.5"}),
        ("gpt-5.4", "batch", 272_001, {"input_uncached": "2.5", "output": "7.5"}),
        ("llama", "", 0, {"input_uncached": "0.0375", "output": "0"}),
    ]
    assert [one.model for one in skipped] == ["dashscope/qwen", "openai/dear"]
    assert {one.provenance for one in cards} == {Provenance("litellm map.json", NOW, "ab" * 32)}


def test_only_the_models_of_the_configuration_are_read_unless_all_are_asked_for() -> None:
    cards, skipped = litellm(LITELLM, replace(ASKED, names=frozenset({("groq", "llama")})))
    assert ([one.model for one in cards], skipped) == (["llama"], [])


def test_openrouters_list_gives_cards_and_names_what_has_no_price_of_its_own() -> None:
    listed = b"""{"data": [{"id": "openai/gpt-4o", "pricing": {"prompt": "0.0000025", "completion": "0.00001",
        "input_cache_read": "0.00000125", "internal_reasoning": "0"}},
        {"id": "openrouter/auto", "pricing": {"prompt": "-1", "completion": "-1"}}]}"""
    cards, skipped = openrouter(listed, ASKED)
    assert told(cards) == [("openai/gpt-4o", "", 0, {"input_uncached": "2.5", "cache_read": "1.25", "output": "10"})]
    assert skipped == [Skipped("openrouter/openrouter/auto", "its price depends on where it is routed")]


def test_the_package_gives_a_models_prices_under_the_name_that_it_is_asked_for_by() -> None:
    asked = replace(
        ASKED, names=frozenset({("openai", "gpt-5.4-2026-03-05"), ("deepseek", "deepseek-chat"), ("x", "y")})
    )
    cards, skipped = genai(asked)
    by = {
        (one.processing_tier, one.prompt_from): f"{one.per_million[OUT]:f}" for one in cards if one.provider == "openai"
    }
    assert (by["", 0], by["", 272_001], by["batch", 0]) == ("15", "22.5", "7.5")
    assert {one.model for one in cards if one.provider == "openai"} == {"gpt-5.4-2026-03-05"}
    assert all("time of day" in one.why for one in skipped)


def test_a_csv_gives_whatever_a_card_may_say() -> None:
    text = (
        b"\xef\xbb\xbfprovider,model,account,region,prompt_from,input,output,kind\r\n"
        b"openai,gpt-4o,org-main,eu,,1.1,4.4,contracted\r\nopenai,gpt-4o,,,,2.5,10,\r\n"
    )
    own, general = csv_rows(text, ASKED)[0]
    assert (own.account, own.region, own.kind, f"{own.per_million[IN]:f}") == ("org-main", "eu", "contracted", "1.1")
    assert (general.account, general.kind) == ("", "list")


@pytest.mark.parametrize(
    ("read_it", "text", "problem"),
    [
        (litellm, b"[]", "no JSON object"),
        (litellm, b"{", "no JSON"),
        (openrouter, b"{}", "no `data`"),
        (csv_rows, b"provider,modle\n", "line 1: modle"),
        (csv_rows, b"provider,model,input\na,b,one\n", "line 2: column input: 'one' is not a number"),
        (csv_rows, b"provider,model,effective_from,input\na,b,soon,1\n", "line 2: Invalid isoformat"),
    ],
)
def test_a_list_that_is_none_is_named_with_its_place(read_it, text: bytes, problem: str) -> None:
    with pytest.raises(SourceInvalid, match=f"litellm map.json: .*{problem}"):
        read_it(text, ASKED)


def test_a_difference_names_each_price_old_and_new_in_percent_with_its_source() -> None:
    old = replace(card({IN: "1", OUT: "4"}), provenance=Provenance("litellm older.json"))
    lost = replace(card({OUT: "9"}, model="lost"), provenance=Provenance("litellm older.json"))
    mine = card({OUT: "9"}, model="mine")
    new = proposed(card({OUT: "5", READ: "0.5"}, since="2026-11-20T09:30"))
    found = differences(RateBook([old, lost, mine]), new)
    assert [(one.what, one.card.model, one.token_class, one.old, one.new, one.percent) for one in found] == [
        ("removed", "gpt-4o-mini", IN, Decimal(1), None, None),
        ("added", "gpt-4o-mini", READ, None, Decimal("0.5"), None),
        ("changed", "gpt-4o-mini", OUT, Decimal(4), Decimal(5), Decimal("25.00")),
        ("removed", "lost", OUT, Decimal(9), None, None),
    ]
    assert {one.source for one in found} == {"litellm map.json"}


def test_a_free_price_has_no_percent_of_change() -> None:
    assert PriceChange(card(), OUT, Decimal(0), Decimal(1), "x").percent is None


def test_an_approved_change_closes_the_row_before_it_at_its_instant_and_keeps_it() -> None:
    old, new = card({OUT: "4"}), card({OUT: "5"}, since="2026-12-01")
    made = approve((old,), None, proposed(new), actor="ann", now=NOW)
    closed, opened = made.cards
    assert (closed.card_id, closed.effective_to) == (old.card_id, new.effective_from)
    assert (opened.card_id, opened.effective_to) == (new.card_id, None)
    assert (opened.provenance.approved_by, opened.provenance.approved_at, opened.provenance.version) == ("ann", NOW, 1)
    book = RateBook(together((old,), made))
    at = new.effective_from
    asked = {"provider": "openai", "account": "", "model": "gpt-4o-mini"}
    for moment, price in ((at - timedelta(milliseconds=1), 4), (at, 5)):
        found = book.in_force(**asked, at=moment)  # type: ignore[arg-type]
        assert found is not None
        assert found.per_million[OUT] == price


def test_a_price_approved_without_an_instant_holds_from_the_approval() -> None:
    new = proposed(card({OUT: "5"}, since="2026-11-20T09:30"), at_approval=True)
    made = approve((card({OUT: "4"}),), None, new, actor="ann", now=LATER)
    assert [one.effective_to for one in made.cards] == [LATER, None]


def test_the_past_is_not_changed_but_by_name_with_a_reason() -> None:
    old, new = card({OUT: "4"}), proposed(card({OUT: "5"}, since="2026-11-01"))
    with pytest.raises(NotApproved, match="--restate"):
        approve((old,), None, new, actor="ann", now=NOW)
    made = approve((old,), None, new, actor="ann", now=NOW, restate="the vendor's mail of 1 November")
    assert made.approval == Approval("ann", NOW, "the vendor's mail of 1 November", (old.card_id,))
    assert [one.per_million[OUT] for one in made.cards] == [4, 5]


def test_a_price_for_what_had_none_may_reach_back() -> None:
    made = approve((), None, proposed(card(since="2026-11-01")), actor="ann", now=NOW)
    assert (len(made.cards), made.approval.restated) == (1, ())


def test_a_less_general_price_of_the_past_is_one_of_the_past_all_the_same() -> None:
    own = proposed(card({OUT: "5"}, account="org-eu", since="2026-11-01"))
    with pytest.raises(NotApproved, match="change prices of the past"):
        approve((card({OUT: "4"}),), None, own, actor="ann", now=NOW)


def test_a_restated_row_ends_where_the_next_one_begins() -> None:
    rows = (card({OUT: "4"}, until="2026-06-01"), card({OUT: "6"}, since="2026-06-01"))
    made = approve(rows, None, proposed(card({OUT: "5"}, since="2026-05-01")), actor="ann", now=NOW, restate="because")
    assert [(one.per_million[OUT], one.effective_to) for one in made.cards] == [
        (4, instant("2026-05-01")), (5, instant("2026-06-01")), (6, None),
    ]  # fmt: skip


def test_nothing_is_approved_twice_and_what_is_gone_ends_only_if_asked_to() -> None:
    first = approve((), None, proposed(card({OUT: "4"}), card({OUT: "9"}, model="lost")), actor="ann", now=NOW)
    again = proposed(card({OUT: "4"}))
    with pytest.raises(NotApproved, match="nothing to approve"):
        approve((), first, again, actor="ben", now=LATER)
    second = approve((), first, again, actor="ben", now=LATER, close_gone=True)
    assert [(one.model, one.effective_to) for one in second.cards] == [("gpt-4o-mini", None), ("lost", LATER)]
    assert (second.version, second.previous) == (2, first.sha256)


def test_prices_that_do_not_go_together_are_not_approved() -> None:
    with pytest.raises(RateCardInvalid, match="no card shorter ones"):
        approve((), None, proposed(replace(card(), prompt_from=200_001)), actor="ann", now=NOW)


def test_a_version_comes_back_as_it_was_and_no_second_one_takes_its_number(tmp_path: Path) -> None:
    full = replace(
        card({OUT: "0.60"}, account="org-eu", until="2026-12-01"), snapshot="s", region="eu", deployment="regional",
        modality="audio", prompt_from=7, issuer="AWS", unit_tokens=1000,
        multipliers=(Multiplier("region", Decimal("1.1")),),
        provenance=Provenance("x", NOW, "ab", "ann", NOW, 1),
    )  # fmt: skip
    made = CardFile(1, (full,), Approval("ann", NOW, "why", ("x",)))
    path = made.write(tmp_path)
    assert (newest(tmp_path), read(path).sha256) == (made, made.sha256)
    with pytest.raises(FileExistsError):
        replace(made, approval=Approval("ben", NOW)).write(tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["rates-000001.json"]
    path.write_text(path.read_text().replace('"0.6"', '"0.5"'))
    with pytest.raises(CardFileInvalid, match="changed after it was approved"):
        newest(tmp_path)


def test_what_waits_is_what_is_approved(tmp_path: Path) -> None:
    with pytest.raises(NothingPending, match="tollway rates import"):
        pending(tmp_path)
    new = proposed(card({OUT: "5"}), at_approval=True)
    new.save(tmp_path)
    assert pending(tmp_path) == new
    assert new.fingerprint != proposed(card({OUT: "6"})).fingerprint


@given(st.lists(st.tuples(st.sampled_from("45679"), st.integers(0, 40)), min_size=1, max_size=6))
def test_whatever_is_approved_in_turn_every_earlier_instant_keeps_its_price(turns: list[tuple[str, int]]) -> None:
    """Approvals one after the other, each from its own instant on: what had a price before keeps it."""
    current: CardFile | None = None
    asked = {"provider": "openai", "account": "", "model": "gpt-4o-mini"}
    for number, (price, days) in enumerate(turns):
        now, since = NOW + timedelta(days=number), NOW + timedelta(days=number + days)
        before = RateBook(together((card({OUT: "1"}),), current))
        try:
            current = approve(
                (card({OUT: "1"}),),
                current,
                proposed(replace(card({OUT: price}), effective_from=since)),
                actor="a",
                now=now,
            )
        except NotApproved:
            continue
        after = RateBook(together((card({OUT: "1"}),), current))
        for moment in (NOW - timedelta(days=9), *(NOW + timedelta(days=d) for d in range(number + days))):
            was, is_ = before.in_force(**asked, at=moment), after.in_force(**asked, at=moment)  # type: ignore[arg-type]
            assert was is not None
            assert is_ is not None
            assert was.per_million == is_.per_million
        found = after.in_force(**asked, at=since)  # type: ignore[arg-type]
        assert found is not None
        assert found.per_million[OUT] == Decimal(price)
