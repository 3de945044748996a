"""Economic cost: time in line, completions that were made again, calls beside each other; and all kinds by owner."""
