-- Waits until the replica asked has all that its shard had taken when it was asked.
SYSTEM SYNC REPLICA tollway_shard.spans LIGHTWEIGHT
