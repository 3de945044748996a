"""OTLP in, ClickHouse out, each span once; what is acknowledged is safe on disk.

    app -> receiver -> commit -> spool   (acknowledged here, after fdatasync)
                                  |
                       planning <- lander -> ledger -> sql.landing -> read back

Receiving needs only the disk: the store may be down for as long as the spool has room.
"""
