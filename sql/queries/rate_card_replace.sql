-- Puts the next set of cards in force, all at once, on every server that has them. An empty next set is refused by the engine.
ALTER TABLE tollway.rate_cards REPLACE PARTITION tuple() FROM tollway.rate_cards_next
