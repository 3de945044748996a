"""A LiteLLM configuration becomes one of ours: golden cases of real shapes, no secret, nothing silently lost."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deploy.importing.litellm import NothingToImport, translate
from deploy.settings import TollwayFile
from gateway.config import load_text
from gateway.config.section import SIMPLE_NAME
from tests.deploy.test_cli import tollway

HERE = Path(__file__).parent
CASES = sorted(path.name.split(".")[0] for path in HERE.glob("*.litellm.yaml"))
IS_NAME = re.compile(SIMPLE_NAME).fullmatch


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_golden_case_translates_as_it_did_and_runs(case: str, tmp_path: Path) -> None:
    done = tollway("import", "litellm", str(HERE / f"{case}.litellm.yaml"))
    assert done.returncode == 0
    assert done.stdout == (HERE / f"{case}.tollway.yaml").read_text("utf-8")
    notes = [line.removeprefix("  ") for line in done.stderr.splitlines() if line.startswith("  ")]
    assert notes == (HERE / f"{case}.notes.txt").read_text("utf-8").splitlines()
    written = tmp_path / "tollway.yaml"
    written.write_text(done.stdout, "utf-8")
    names = re.findall(r"\$\{(\w+)\}", done.stdout)
    env = {name: f"http://a-value-for-{name}" for name in names} | {"PATH": "/usr/bin:/bin"}
    checked = tollway("check", "--config", str(written), env=env)
    assert checked.returncode == 0 or "tollway: it runs, and" in checked.stderr, checked.stderr


@pytest.mark.slow
def test_no_secret_of_the_file_is_in_what_is_written() -> None:
    done = tollway("import", "litellm", str(HERE / "local.litellm.yaml"))
    assert not re.search("sk-this|sk-1234|sk-lf", done.stdout + done.stderr)


@pytest.mark.slow
def test_json_carries_the_configuration_and_the_notes(tmp_path: Path) -> None:
    out = tmp_path / "made.yaml"
    done = tollway("import", "litellm", str(HERE / "smallest.litellm.yaml"), "--json", "--out", str(out))
    told = json.loads(done.stdout)
    assert told["environment"] == ["OPENAI_API_KEY", "TOLLWAY_DEFAULT_KEY"]
    assert yaml.safe_load(out.read_text("utf-8")) == told["config"]
    assert told["not_translated"] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("[", 2, "is not YAML"),
        ("- 1", 2, "is not a mapping of sections"),
        ("model_list: []", 1, "no model of this file can be served"),
        ("model_list: [{model_name: a, litellm_params: {model: bedrock/b}}]", 1, "no OpenAI-compatible endpoint known"),
    ],
)
def test_a_file_with_nothing_to_translate_is_told_in_one_line(tmp_path: Path, text: str, code: int, words: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    done = tollway("import", "litellm", str(path))
    assert done.returncode == code
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def entry(name: str = "a", **params: Any) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": "gpt-4o", **params}}


def weights(*entries: dict[str, Any]) -> list[int | None]:
    done = translate({"model_list": list(entries)}, IS_NAME)
    return [target.get("weight") for target in done.config["aliases"]["a"]["targets"]]


def test_a_deployment_that_gets_no_share_is_noted() -> None:
    done = translate({"model_list": [entry(rpm=10), entry(tpm=10, model="azure/b", api_base="https://b")]}, IS_NAME)
    assert any("has no share there" in note.words for note in done.notes)


def test_what_a_vendor_is_known_not_to_do_is_noted() -> None:
    done = translate({"model_list": [entry(model="cohere/command-a")]}, IS_NAME)
    assert any("refuse stream_options" in note.words for note in done.notes)


def test_deployments_are_drawn_as_litellm_draws_them() -> None:
    assert weights(entry()) == [None]
    assert weights(entry(), entry(api_base="http://h/v1")) == [1, 1]
    assert weights(entry(weight=2, rpm=1), entry(weight=1, rpm=9)) == [2, 1]
    assert weights(entry(rpm=600), entry(rpm=200)) == [3, 1]
    assert weights(entry(tpm=999_999_999), entry(tpm=1)) == [9999, 1]
    assert weights(entry(rpm=600), entry()) == [1, 0]
    assert weights(entry(weight=0), entry(weight=0, api_base="http://h/v1")) == [1, 1]


def test_prices_are_per_million_and_exact() -> None:
    info = {"input_cost_per_token": 1.5e-07, "output_cost_per_token": "0.0000006"}
    done = translate({"model_list": [{**entry(), "model_info": info}]}, IS_NAME)
    assert done.config["rate_cards"][0]["per_million_tokens"] == {"input": "0.15", "output": "0.6"}


def test_what_would_never_be_fallen_back_on_for_want_of_a_price_is_said() -> None:
    file = {"model_list": [entry("a"), entry("b")], "router_settings": {"fallbacks": [{"a": ["b"]}]}}
    assert "openai/gpt-4o" in str(translate(file, IS_NAME).notes[-1])


def keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for inner in value.values() for key in keys(inner)}
    return {key for inner in value for key in keys(inner)} if isinstance(value, list) else set()


def test_every_key_is_either_translated_or_told() -> None:
    file = yaml.safe_load((HERE / "balanced.litellm.yaml").read_text("utf-8"))
    unknown = {"never_heard_of": 1}
    file["model_list"][0]["litellm_params"] |= unknown
    file["model_list"][0] |= unknown
    file["model_list"][1]["model_info"] |= unknown
    for section in ("router_settings", "litellm_settings", "general_settings"):
        file[section] |= unknown
    file |= unknown
    places = {note.place for note in translate(file, IS_NAME).notes}
    assert {
        "model_list[0].litellm_params.never_heard_of", "model_list[0].never_heard_of",
        "model_list[1].model_info.never_heard_of", "router_settings.never_heard_of",
        "litellm_settings.never_heard_of", "general_settings.never_heard_of", "never_heard_of",
    } <= places  # fmt: skip


NAMES = st.sampled_from(["a", "b", "*", "two words", "", "openai/x"])
SCALARS = st.none() | st.booleans() | st.integers(-5, 20_000) | st.floats(-1, 1e6) | NAMES
ANY = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2))
MODELS = st.sampled_from(["gpt-4o", "azure/x", "bedrock/x", "ollama/llama3", "claude-3", "groq/"])
BASES = st.sampled_from(["http://h:1/v1", "https://my.example/", "os.environ/BASE"])


def mapping(**fields: Any) -> Any:
    return st.fixed_dictionaries({}, optional=fields)


WHOLES = ANY | st.integers(0, 50)
PARAMS = mapping(
    model=MODELS | ANY, api_base=BASES, api_key=st.sampled_from(["os.environ/K", "sk-x"]), rpm=WHOLES, tpm=WHOLES,
    weight=WHOLES, order=WHOLES, max_retries=WHOLES, max_parallel_requests=WHOLES, input_cost_per_token=ANY,
    output_cost_per_token=ANY,
)  # fmt: skip
LADDER = ANY | st.lists(st.dictionaries(NAMES, st.lists(NAMES, max_size=3) | ANY, max_size=2), max_size=3)
FILES = mapping(
    model_list=ANY | st.lists(mapping(model_name=NAMES, litellm_params=PARAMS | ANY, model_info=ANY), max_size=4),
    router_settings=ANY
    | mapping(
        fallbacks=LADDER,
        num_retries=WHOLES,
        timeout=ANY,
        allowed_fails=WHOLES,
        cooldown_time=ANY,
        model_group_alias=ANY,
    ),
    litellm_settings=ANY | mapping(fallbacks=LADDER, default_fallbacks=ANY, cache=ANY, cache_params=ANY),
    general_settings=ANY | mapping(master_key=ANY, max_parallel_requests=WHOLES),
    environment_variables=ANY,
)


@given(FILES)
def test_whatever_the_file_says_the_result_is_usable_or_there_is_none(file: dict[str, Any]) -> None:
    try:
        done = translate(file, IS_NAME)
    except NothingToImport:
        return
    env = {name: f"https://stands-for-{name}" for name in done.environment}
    load_text(yaml.safe_dump(done.config), TollwayFile, env=env)
