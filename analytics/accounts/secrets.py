"""Passwords and tokens: how each is made, and what of it is kept. Neither can be read back from what is kept.

A password is kept as scrypt with its own salt and cost (2^15, 8, 1: 32 MiB, some 80 ms), so that the cost can grow. A
token has 256 random bits, so its plain SHA-256 cannot be guessed back, and looking it up takes no time.
"""

import hashlib
import hmac
import secrets

TOKEN_PREFIX = "tollway_"  # noqa: S105 - what a token begins with, so that scanners for leaked secrets know it
_N, _R, _P = 2**15, 8, 1
_MEMORY = 128 * _N * _R * 2


def new_password() -> str:
    """A password that nobody has to invent: 144 random bits."""
    return secrets.token_urlsafe(18)


def new_token() -> str:
    """A token, to be shown once."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def hashed(password: str) -> str:
    """What is kept of a password: `scrypt$N$r$p$salt$key`, in hexadecimal."""
    salt = secrets.token_bytes(16)
    key = hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P, maxmem=_MEMORY)
    return f"scrypt${_N}${_R}${_P}${salt.hex()}${key.hex()}"


def matches(password: str, kept: str) -> bool:
    """Whether that is the password, told in the same time whatever it is."""
    _, n, r, p, salt, key = kept.split("$")
    found = hashlib.scrypt(
        password.encode(), salt=bytes.fromhex(salt), n=int(n), r=int(r), p=int(p), maxmem=256 * int(n) * int(r)
    )
    return hmac.compare_digest(found, bytes.fromhex(key))
