"""A month as files of the FinOps Open Cost and Usage Specification (FOCUS), version 1.4."""
