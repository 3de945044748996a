-- Empties the table that the next set of cards is written to.
TRUNCATE TABLE tollway.rate_cards_next
