"""No attempt is lost: what the gateway is about to do and what came of it, kept on disk until it is acknowledged.

intent --> segment --sealed--> outbox --OTLP--> collector          one folder a process, locked while it lives
              |                                    |
          kill -9 --> next start: `lost` spans     acknowledged: the segment is deleted
"""
