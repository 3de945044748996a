-- The rate cards in the store. No rows: nothing can be priced.
SELECT * EXCEPT (loaded_at)
FROM tollway.rate_cards
ORDER BY card_id
