"""The client's side of the data path: HTTP/1.1 below the framework, and the body of a chat request."""
