-- What the cached input tokens of a window would have cost more as uncached ones, by the cards that rated them. Tokens
-- whose card lacks either price are left out. One row; 0 without traffic. Empty arrays mean all.
SELECT toDecimal128(sum(toDecimal256(price_input_uncached - price_cache_read, 18) * tokens), 18) AS cache_saving_usd
FROM
(
    SELECT card_id, sum(cache_read) AS tokens
    FROM tollway.rated_attempts
    WHERE started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
      AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, tenant))
      AND (empty({aliases:Array(String)}) OR has({aliases:Array(String)}, alias))
      AND (empty({providers:Array(String)}) OR has({providers:Array(String)}, provider))
      AND (empty({accounts:Array(String)}) OR has({accounts:Array(String)}, account))
      AND completeness = 'measured' AND NOT unpriced AND cache_read > 0
    GROUP BY card_id
) AS used
INNER JOIN
(
    SELECT
        card_id,
        assumeNotNull(price_input_uncached) AS price_input_uncached,
        assumeNotNull(price_cache_read)     AS price_cache_read
    FROM tollway.rate_cards
    WHERE price_input_uncached IS NOT NULL AND price_cache_read IS NOT NULL
) AS cards USING (card_id)
