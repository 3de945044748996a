"""What pages are built from: the frame, cards, grids, notices. They know how things look, never what they mean."""
