-- Vendors price their processing tiers apart (a batch at half the price), so a card holds for one: '' is the default one.
-- What used a tier that no card names is unpriced, not priced like the rest.
ALTER TABLE tollway.rate_cards {on_cluster}
    ADD COLUMN IF NOT EXISTS processing_tier LowCardinality(String) AFTER model;  -- '' | batch | flex | priority

ALTER TABLE tollway.rate_cards_next {on_cluster}
    ADD COLUMN IF NOT EXISTS processing_tier LowCardinality(String) AFTER model;
