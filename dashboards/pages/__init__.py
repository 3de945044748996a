"""The pages: each a layout for an address, and the wiring that fills it. A callback is: parse, query, draw."""
