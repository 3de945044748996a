"""Rate cards from elsewhere: read, compared with the book, approved. Nothing becomes a price without an approval."""
