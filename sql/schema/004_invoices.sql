-- What vendors billed. A row of invoice_imports makes a file's lines visible: it is written last, so a load that was
-- cut off is never seen. Nothing is deleted: an older import stays beside the one that replaced it.
CREATE TABLE IF NOT EXISTS tollway.invoice_imports {on_cluster}
(
    import_id    String COMMENT 'SHA-256 of the file, hexadecimal',
    load_id      String COMMENT 'This load of it; the key of its lines',
    provider     LowCardinality(String),
    account      LowCardinality(String),
    file_name    String,
    file_format  LowCardinality(String),
    organization String COMMENT 'As the file names it; empty = it does not',
    currency     LowCardinality(String),
    scale        UInt8 COMMENT 'Decimal places to which the amounts of the file are rounded',
    lines        UInt64,
    total        String COMMENT 'Sum of the amounts, exact',
    days         Array(Date) COMMENT 'UTC days the file covers, those without charges included',
    imported_at  DateTime64(3, 'UTC')
)
ENGINE = {engine}
ORDER BY (provider, account, imported_at, load_id);

CREATE TABLE IF NOT EXISTS tollway.invoice_lines {on_cluster}
(
    load_id       String,
    row           UInt64 COMMENT 'Line of the CSV, or ordinal of the result in the JSON',
    day           Date COMMENT 'UTC',
    line_item     String COMMENT 'As the file says',
    model         String COMMENT 'As the file names it; empty = it names none',
    token_class   LowCardinality(String) COMMENT 'A token class, or other',
    reason        String COMMENT 'Why the class is other',
    quantity      Nullable(UInt64) COMMENT 'Tokens; NULL = not said, or not tokens',
    quantity_raw  String COMMENT 'The quantity as the file says it',
    quantity_unit LowCardinality(String),
    amount        String COMMENT 'Exact, without exponent; vendors print up to 30 decimals',
    amount_exact  Decimal(76, 38) ALIAS toDecimal256(amount, 38),
    scale         UInt8 COMMENT 'Decimal places that carry meaning',
    currency      LowCardinality(String),
    project_id    String,
    api_key_id    String,
    user_id       String
)
ENGINE = {engine}
ORDER BY (load_id, day, row);

-- Which load speaks for an account's UTC day: the newest one that covers it.
CREATE VIEW IF NOT EXISTS tollway.invoice_days {on_cluster} AS
SELECT
    provider,
    account,
    day,
    newest.1 AS load_id,
    newest.2 AS import_id,
    newest.3 AS currency
FROM
(
    SELECT
        provider,
        account,
        day,
        argMax((i.load_id, i.import_id, i.currency), (i.imported_at, i.load_id)) AS newest
    FROM tollway.invoice_imports AS i
    ARRAY JOIN days AS day
    GROUP BY provider, account, day
);

CREATE VIEW IF NOT EXISTS tollway.invoice_current {on_cluster} AS
SELECT
    days.provider  AS provider,
    days.account   AS account,
    days.import_id AS import_id,
    lines.*,
    lines.amount_exact AS amount_exact
FROM tollway.invoice_lines AS lines
INNER JOIN tollway.invoice_days AS days ON days.load_id = lines.load_id AND days.day = lines.day;
