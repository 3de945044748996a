-- How many spans there are and what they take on disk, in one row; the secondary indexes are part of the bytes.
SELECT sum(rows) AS spans, sum(bytes_on_disk) AS bytes, sum(secondary_indices_compressed_bytes) AS index_bytes
FROM system.parts
WHERE database = 'tollway' AND table = 'spans' AND active
