"""What passes from an upstream to a client: events are split only to be looked at, and go on byte for byte."""
