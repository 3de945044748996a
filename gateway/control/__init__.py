"""What needs compare-and-swap and outlives the process: a small relational database beside the journal."""
