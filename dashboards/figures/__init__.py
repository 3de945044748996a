"""Figures: a frame goes in, a plain dict for Plotly comes out. No Dash, no store, no clock."""
