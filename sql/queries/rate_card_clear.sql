-- Leaves no card in force.
TRUNCATE TABLE tollway.rate_cards
