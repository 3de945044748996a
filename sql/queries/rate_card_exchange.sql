-- Puts the next set of cards in force, all at once.
EXCHANGE TABLES tollway.rate_cards AND tollway.rate_cards_next
