-- Every attempt rated by the card in force when it started, of the processing tier which the vendor says it used.
-- ASOF finds at most one card: the latest of its key that began at or before the attempt; it counts if it has not ended.
-- The joined columns are renamed, or `a.*` would carry its table's name into the view's columns.
-- An account's own card goes before the general one. Products are Decimal256, which no card and no count can overflow;
-- toDecimal128 raises (DECIMAL_OVERFLOW) rather than wrap, should a row ever get past both bounds.
-- The rule is gateway/domain/rate_card.py's; tests/contract/test_rating.py holds the two together.
CREATE OR REPLACE VIEW tollway.rated_attempts {on_cluster} AS
WITH
    own.effective_to > started_at AS by_account,
    NOT by_account AND general.effective_to > started_at AS by_model,
    multiIf(by_account, own.currency, by_model, general.currency, '') AS card_currency,
    multiIf(by_account, own.price_input_uncached, by_model, general.price_input_uncached, NULL) AS p_input_uncached,
    multiIf(by_account, own.price_cache_read, by_model, general.price_cache_read, NULL) AS p_cache_read,
    multiIf(by_account, own.price_cache_write_5m, by_model, general.price_cache_write_5m, NULL) AS p_cache_write_5m,
    multiIf(by_account, own.price_cache_write_1h, by_model, general.price_cache_write_1h, NULL) AS p_cache_write_1h,
    multiIf(by_account, own.price_output, by_model, general.price_output, NULL) AS p_output,
    multiIf(by_account, coalesce(own.price_reasoning, own.price_output),
            by_model, coalesce(general.price_reasoning, general.price_output), NULL) AS p_reasoning,
    if(card_currency != 'USD', NULL,
        if(input_uncached = 0, toDecimal256(0, 18), toDecimal256(p_input_uncached, 18) * input_uncached)
        + if(cache_read = 0, toDecimal256(0, 18), toDecimal256(p_cache_read, 18) * cache_read)
        + if(cache_write_5m = 0, toDecimal256(0, 18), toDecimal256(p_cache_write_5m, 18) * cache_write_5m)
        + if(cache_write_1h = 0, toDecimal256(0, 18), toDecimal256(p_cache_write_1h, 18) * cache_write_1h)
        + if(output = 0, toDecimal256(0, 18), toDecimal256(p_output, 18) * output)
        + if(reasoning = 0, toDecimal256(0, 18), toDecimal256(p_reasoning, 18) * reasoning)) AS priced
SELECT
    a.* EXCEPT (request_content, response_content),
    multiIf(by_account, own.card_id, by_model, general.card_id, '') AS card_id,
    card_currency AS currency,
    multiIf(outcome = 'refused', toDecimal128(0, 18),
            completeness = 'measured', toDecimal128(priced, 18), NULL) AS cost_usd,
    if(outcome != 'refused' AND completeness = 'estimated', toDecimal128(priced, 18), NULL) AS partial_cost_usd,
    outcome != 'refused' AND completeness != 'unknown' AND priced IS NULL AS unpriced,
    -- What the cached input would have cost more as uncached; 0 where the card lacks either price.
    if(completeness = 'measured' AND cache_read > 0 AND priced IS NOT NULL,
       toDecimal128(ifNull((toDecimal256(p_input_uncached, 18) - toDecimal256(p_cache_read, 18)) * cache_read,
                           toDecimal256(0, 18)), 18),
       toDecimal128(0, 18)) AS cache_saving_usd,
    -- What a vendor may bill and has not told the final usage of; an error answer and a connection that never was are not
    -- billed.
    billable AND completeness != 'measured'
        AND NOT (outcome = 'error' AND completeness = 'unknown'
                 AND (http_status >= 400 OR error_type = 'connect_error')) AS unmeasured
FROM tollway.attempts AS a
ASOF LEFT JOIN
(
    SELECT * EXCEPT (provider, model, account, processing_tier), provider AS card_provider, model AS card_model,
        account AS card_account, processing_tier AS card_tier, toDateTime64(effective_from, 9, 'UTC') AS since
    FROM tollway.rate_cards WHERE account != ''
) AS own
    ON own.card_provider = a.provider AND own.card_model = a.model AND own.card_account = a.account
    AND own.card_tier = if(a.service_tier IN ('batch', 'flex', 'priority'), a.service_tier, '')
    AND own.since <= a.started_at
ASOF LEFT JOIN
(
    SELECT * EXCEPT (provider, model, account, processing_tier), provider AS card_provider, model AS card_model,
        processing_tier AS card_tier, toDateTime64(effective_from, 9, 'UTC') AS since
    FROM tollway.rate_cards WHERE account = ''
) AS general
    ON general.card_provider = a.provider AND general.card_model = a.model
    AND general.card_tier = if(a.service_tier IN ('batch', 'flex', 'priority'), a.service_tier, '')
    AND general.since <= a.started_at;
