"""One module a format: which fields it has, and what each of its rows means. Pure: a path in, entries out."""
