-- What an invoice's line says beyond tokens and money: which document it is of, what kind of charge, under which conditions
-- it was priced, and exactly when it applies. An import is of one document, and takes the place of older ones of the same.
-- Views over these: sql/views/10_invoice_days.sql and the two behind it.
ALTER TABLE tollway.invoice_lines {on_cluster}
    ADD COLUMN IF NOT EXISTS document LowCardinality(String) DEFAULT 'invoice'
        COMMENT 'usage = tokens only | cost = the vendor''s own cost report | invoice = what is to be paid',
    ADD COLUMN IF NOT EXISTS charge_category LowCardinality(String) DEFAULT 'Usage'
        COMMENT 'Usage | Tax | Credit | Fee | Purchase | Refund | Adjustment',
    ADD COLUMN IF NOT EXISTS charge_class LowCardinality(String)
        COMMENT 'Correction = of a period that was invoiced before; empty = not',
    ADD COLUMN IF NOT EXISTS invoice_id String,
    ADD COLUMN IF NOT EXISTS invoice_detail_id String,
    ADD COLUMN IF NOT EXISTS invoice_status LowCardinality(String) COMMENT 'Open | Issued | Voided; empty = not said',
    ADD COLUMN IF NOT EXISTS processing_tier LowCardinality(String) COMMENT 'batch | flex | priority; empty = default',
    ADD COLUMN IF NOT EXISTS region LowCardinality(String),
    ADD COLUMN IF NOT EXISTS deployment_type LowCardinality(String) COMMENT 'Such as global, geo, regional, provisioned',
    ADD COLUMN IF NOT EXISTS modality LowCardinality(String) COMMENT 'audio | image | video; empty = text',
    ADD COLUMN IF NOT EXISTS context_tier LowCardinality(String) COMMENT 'Such as 0-200k; empty = not said',
    ADD COLUMN IF NOT EXISTS charge_start DateTime64(3, 'UTC') DEFAULT toDateTime64(day, 3, 'UTC')
        COMMENT 'When what is billed began; day is its UTC day',
    ADD COLUMN IF NOT EXISTS charge_end DateTime64(3, 'UTC') DEFAULT charge_start + INTERVAL 1 DAY COMMENT 'Exclusive',
    ADD COLUMN IF NOT EXISTS unit_price String COMMENT 'For one token or other unit, USD, exact; empty = not said',
    ADD COLUMN IF NOT EXISTS billing_currency LowCardinality(String) DEFAULT currency
        COMMENT 'What is to be paid in; amount is always in currency',
    ADD COLUMN IF NOT EXISTS billed_amount String DEFAULT amount COMMENT 'In the billing currency, exact',
    ADD COLUMN IF NOT EXISTS pricing_currency LowCardinality(String) COMMENT 'Where the file says one',
    ADD COLUMN IF NOT EXISTS pricing_amount String COMMENT 'In the pricing currency, exact',
    ADD COLUMN IF NOT EXISTS fx_rate String COMMENT 'Billing currency for one of the pricing currency; empty = not said',
    ADD COLUMN IF NOT EXISTS request_id String COMMENT 'The vendor''s id of the one request billed; empty = a sum of several',
    ADD COLUMN IF NOT EXISTS tags String COMMENT 'JSON object of text: resource, workspace and what else the file tells';

ALTER TABLE tollway.invoice_imports {on_cluster}
    ADD COLUMN IF NOT EXISTS document LowCardinality(String) DEFAULT 'cost',
    ADD COLUMN IF NOT EXISTS invoice_ids Array(String)
        COMMENT 'The invoices that the file speaks for, if it is of them and not of days';

-- An import that does not count any more. It is kept, and what it had replaced stands again.
CREATE TABLE IF NOT EXISTS tollway.invoice_voids {on_cluster}
(
    load_id   String,
    import_id String,
    provider  LowCardinality(String),
    account   LowCardinality(String),
    reason    String,
    voided_at DateTime64(3, 'UTC')
)
ENGINE = {engine}
ORDER BY (provider, account, load_id);
