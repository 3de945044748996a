-- The rate cards in the store. No rows: nothing can be priced.
SELECT
    card_id, provider, account, model, processing_tier, currency, effective_from, effective_to, price_input_uncached, price_cache_read,
    price_cache_write_5m, price_cache_write_1h, price_output, price_reasoning
FROM tollway.rate_cards
ORDER BY card_id
