"""Other gateways' configurations, translated into Tollway's: what could be, and a list of what could not."""
