"""Where the store answers: one address, or several of a cluster, any of which is the store."""


def addresses(url: str) -> list[str]:
    """The addresses of a text that has commas between them; [""] of an empty one."""
    return [one.strip().rstrip("/") for one in url.split(",")]
