-- Every attempt rated by the card in force when it started, for what chooses its price: the account, the model and the
-- snapshot that answered, the region, the deployment, the processing tier and the modality which the vendor told, and how
-- long the prompt was with its cached tokens. tollway.rate_windows has the answer to each case that cards tell apart; a
-- word that no card of the model knows is '', so a book that names no region is asked for none.
-- ASOF finds at most one window: the latest of its case that began at or before the attempt; it counts if it has not ended.
-- The joined columns are renamed, or `a.*` would carry its table's name into the view's columns. Products are Decimal256,
-- which no card and no count can overflow; toDecimal128 raises (DECIMAL_OVERFLOW) rather than wrap, should a row ever get
-- past both bounds. The rule is gateway/domain/rate_card.py's; tests/contract/test_rating.py holds the two together.
CREATE OR REPLACE VIEW tollway.rated_attempts {on_cluster} AS
WITH
    w.until > started_at AS known,
    if(known, w.currency, '') AS card_currency,
    if(known, w.price_input_uncached, NULL) AS p_input_uncached,
    if(known, w.price_cache_read, NULL) AS p_cache_read,
    if(known, w.price_cache_write_5m, NULL) AS p_cache_write_5m,
    if(known, w.price_cache_write_1h, NULL) AS p_cache_write_1h,
    if(known, w.price_output, NULL) AS p_output,
    if(known, coalesce(w.price_reasoning, w.price_output), NULL) AS p_reasoning,
    if(card_currency != 'USD', NULL,
        if(input_uncached = 0, toDecimal256(0, 18), toDecimal256(p_input_uncached, 18) * input_uncached)
        + if(cache_read = 0, toDecimal256(0, 18), toDecimal256(p_cache_read, 18) * cache_read)
        + if(cache_write_5m = 0, toDecimal256(0, 18), toDecimal256(p_cache_write_5m, 18) * cache_write_5m)
        + if(cache_write_1h = 0, toDecimal256(0, 18), toDecimal256(p_cache_write_1h, 18) * cache_write_1h)
        + if(output = 0, toDecimal256(0, 18), toDecimal256(p_output, 18) * output)
        + if(reasoning = 0, toDecimal256(0, 18), toDecimal256(p_reasoning, 18) * reasoning)) AS priced
SELECT
    a.* EXCEPT (request_content, response_content, case_tier, case_model, case_account, case_snapshot, case_region,
                case_deployment, case_prompt),
    if(known, w.card_id, '') AS card_id,
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
FROM
(
    SELECT
        *,
        if(service_tier IN ('batch', 'flex', 'priority'), service_tier, '') AS case_tier,
        -- The model, or the longest prefix of it that the provider's cards name.
        if((provider, model) IN (SELECT provider, model FROM tollway.rate_windows), model,
           arrayFirst(p -> p.1 = provider AND startsWith(model, p.2),
                      (SELECT arrayReverseSort(p -> length(p.2), groupUniqArray((provider, trimRight(model, '*'), model)))
                       FROM tollway.rate_windows WHERE endsWith(model, '*'))).3) AS case_model,
        if((provider, case_model, account) IN
           (SELECT provider, model, account FROM tollway.rate_windows WHERE account != ''), account, '') AS case_account,
        if((provider, case_model, response_model) IN
           (SELECT provider, model, snapshot FROM tollway.rate_windows WHERE snapshot != ''),
           response_model, '') AS case_snapshot,
        if((provider, case_model, region) IN
           (SELECT provider, model, region FROM tollway.rate_windows WHERE region != ''), region, '') AS case_region,
        if((provider, case_model, deployment) IN
           (SELECT provider, model, deployment FROM tollway.rate_windows WHERE deployment != ''),
           deployment, '') AS case_deployment,
        if((provider, case_model) IN (SELECT provider, model FROM tollway.rate_windows WHERE prompt_from > 0),
           roundDown(input_uncached + cache_read + cache_write_5m + cache_write_1h,
                     (SELECT arraySort(arrayPushBack(groupUniqArrayIf(prompt_from, prompt_from > 0), 0)) FROM tollway.rate_windows)),
           0) AS case_prompt
    FROM tollway.attempts
) AS a
ASOF LEFT JOIN
(
    SELECT provider AS of_provider, model AS of_model, processing_tier AS of_tier, modality AS of_modality,
        account AS of_account, snapshot AS of_snapshot, region AS of_region, deployment AS of_deployment,
        prompt_from AS of_prompt, toDateTime64(since, 9, 'UTC') AS since, until, card_id, currency, price_input_uncached,
        price_cache_read, price_cache_write_5m, price_cache_write_1h, price_output, price_reasoning
    FROM tollway.rate_windows
) AS w
    ON w.of_provider = a.provider AND w.of_model = a.case_model AND w.of_tier = a.case_tier
    AND w.of_modality = a.modality AND w.of_account = a.case_account AND w.of_snapshot = a.case_snapshot
    AND w.of_region = a.case_region AND w.of_deployment = a.case_deployment AND w.of_prompt = a.case_prompt
    AND w.since <= a.started_at;
