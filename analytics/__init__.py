"""Rating, invoices, reconciliation and the month's files: what was spent, what was billed, and why they differ.

Reads only what landed in the store, through named queries; the gateway's running parts are never imported, only its
vocabulary (gateway.domain). Money is Decimal from end to end, and whoever totals says what the total leaves out.
"""
