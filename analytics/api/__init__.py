"""The finance API, under /api/v1: spend, reconciliation, exceptions, periods, exports, rate cards."""
