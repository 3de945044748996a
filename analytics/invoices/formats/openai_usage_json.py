"""Answers of OpenAI's Usage API (/v1/organization/usage/...): what was counted, by minute, hour or day; no money.

input_tokens take in the cached ones and those written to the cache, so they are told apart here: the classes are
disjoint and sum to what the vendor counted. Modalities are told apart where their counts sum to the class; counts that
overlap otherwise are never added up. Reasoning tokens are within the output.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from analytics.invoices import pages
from analytics.invoices.entries import Covered, Document, Entry, Terms
from analytics.invoices.errors import InvoiceInvalid
from analytics.invoices.importer import Importer
from analytics.invoices.pages import Node
from analytics.reconciliation.variance import OTHER
from gateway.domain.usage import TokenClass

RESULTS = "organization.usage."
_TOKENS = {"completions", "embeddings", "moderations"}
_COUNTS = {
    "images": ("images", "images"),
    "audio_speeches": ("characters", "characters"),
    "audio_transcriptions": ("seconds", "seconds"),
    "vector_stores": ("usage_bytes", "bytes"),
    "code_interpreter_sessions": ("num_sessions", "sessions"),
    "file_search_calls": ("num_requests", "requests"),
    "web_search_calls": ("num_requests", "requests"),
}
"""What the other kinds of usage count: the field, and its unit."""
_MODALITIES = ("", "audio", "image")
_SPLITS = {
    TokenClass.INPUT_UNCACHED: ("input_text_tokens", "input_audio_tokens", "input_image_tokens"),
    TokenClass.CACHE_READ: ("input_cached_text_tokens", "input_cached_audio_tokens", "input_cached_image_tokens"),
    TokenClass.OUTPUT: ("output_text_tokens", "output_audio_tokens", "output_image_tokens"),
}
_TIERS = {"default": "", "standard": "", "auto": ""}


def read(path: Path) -> Iterator[Covered]:
    """An entry for each class of tokens of each result, and one for its requests."""
    seen: dict[datetime, str] = {}
    row = 0
    for bucket in pages.buckets(path):
        start, end = bucket.instant("start_time"), bucket.instant("end_time")
        if start in seen:
            raise InvoiceInvalid(path, f"{start} is there twice, first in {seen[start]}", place=bucket.place)
        seen[start] = bucket.place
        if end <= start or (end - timedelta(microseconds=1)).date() != start.date():
            raise InvoiceInvalid(path, f"a bucket from {start} to {end} is not within a UTC day", place=bucket.place)
        if not bucket.items("results"):
            yield start.date(), None
        for result in pages.results(bucket):
            row += 1
            for entry in _entries(result, row, start, end):
                yield start.date(), entry


def _entries(result: Node, row: int, start: datetime, end: datetime) -> Iterator[Entry]:
    kind = result.text("object").removeprefix(RESULTS).removesuffix(".result")
    if kind in _TOKENS:
        for token_class, modality, tokens in _tokens(result):
            yield _entry(result, row, (start, end), kind, tokens, token_class=token_class.value, modality=modality)
    elif kind in _COUNTS:
        field, unit = _COUNTS[kind]
        yield _entry(result, row, (start, end), kind, result.tokens(field), unit=unit)
    else:
        raise result.fault("object", f"{kind[:40]!r} is no kind of usage that is known")
    requests = result.tokens("num_model_requests")
    if requests:
        yield _entry(result, row, (start, end), kind, requests, unit="requests")


def _tokens(result: Node) -> Iterator[tuple[TokenClass, str, int]]:
    """Class, modality and count of what is not zero."""
    total, cached = result.tokens("input_tokens"), result.tokens("input_cached_tokens")
    written = result.tokens("input_cache_write_tokens")
    uncached = total - cached - written
    if result.value.get("input_uncached_tokens") is not None and result.tokens("input_uncached_tokens") != uncached:
        said = result.tokens("input_uncached_tokens")
        raise result.fault("input_tokens", f"{total} is not {said} uncached, {cached} cached and {written} written")
    if uncached < 0:
        raise result.fault("input_tokens", f"{total} is less than {cached} cached and {written} written together")
    counts = {
        TokenClass.INPUT_UNCACHED: uncached,
        TokenClass.CACHE_READ: cached,
        TokenClass.CACHE_WRITE_5M: written,
        TokenClass.OUTPUT: result.tokens("output_tokens"),
    }
    for token_class, count in counts.items():
        split = [result.tokens(name) for name in _SPLITS.get(token_class, ())]
        told_apart = split if sum(split) == count else [count]
        yield from (
            (token_class, modality, tokens) for modality, tokens in zip(_MODALITIES, told_apart, strict=False) if tokens
        )


def _entry(
    result: Node,
    row: int,
    span: tuple[datetime, datetime],
    kind: str,
    count: int,
    *,
    token_class: str = OTHER,
    modality: str = "",
    unit: str = "tokens",
) -> Entry:
    model = result.text("model")
    reason = "" if token_class != OTHER else f"counted in {unit}, not in tokens"
    if token_class != OTHER and not model:
        token_class, reason = OTHER, "no model: ask for the usage grouped by model"
    tier = result.text("service_tier")
    return Entry(
        row=row,
        place=result.place,
        line_item=kind,
        model=model,
        token_class=token_class,
        reason=reason,
        quantity=count if token_class != OTHER else None,
        quantity_raw=str(count),
        quantity_unit=unit,
        amount=Decimal(0),
        amount_places=0,
        is_double=False,
        currency="",
        project_id=result.text("project_id"),
        api_key_id=result.text("api_key_id"),
        user_id=result.text("user_id"),
        start=span[0],
        end=span[1],
        terms=Terms(
            processing_tier="batch" if result.value.get("batch") is True else _TIERS.get(tier, tier), modality=modality
        ),
    )


IMPORTER = Importer(
    name="openai_usage_json", title="answers of OpenAI's Usage API (JSON)", document=Document.USAGE, read=read
)
