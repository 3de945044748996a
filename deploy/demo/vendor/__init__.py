"""A simulated vendor of language models, with a billing ledger of its own.

It is the independent witness of the demonstration: nothing under this package imports the gateway, the collector, the
store or the analytics. What it counts, prices and rounds, it does by its own rules, written a second time on purpose.
Run it with `python -m deploy.demo.vendor --config FILE --listen HOST:PORT`.
"""
