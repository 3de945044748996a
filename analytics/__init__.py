"""Spend rated by the card in force, invoices imported, months reconciled and exported."""
