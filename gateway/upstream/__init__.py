"""The upstream's side of the data path: a small HTTP/1.1 client that pushes what a socket read brought to a sink."""
