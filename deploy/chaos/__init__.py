"""Chaos: the parts are killed, stopped and starved of disk under traffic, and held against the generator's own ledger.

`python -m deploy.chaos` runs the kill matrix: real processes on loopback in a temporary folder, bounded in count and in
time. What was sent, and what of it was acknowledged, is written down by the generator alone (ledger.py, spans.py,
senders.py know nothing of the parts but the wire); SQL has to agree with it, in count and in Decimal sums, every time.
"""
