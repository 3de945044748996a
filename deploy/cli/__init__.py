"""The `tollway` command. Data goes to stdout, words and progress to stderr; exit codes are in exits.py."""
