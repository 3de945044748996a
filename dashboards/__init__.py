"""The Dash app that finance and SREs open; it shows what analytics answers."""
