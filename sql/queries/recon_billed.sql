-- The lines that speak for the UTC days of a window, of each of the vendor's documents, and those of the day before and the
-- day after that bill usage. A correction of an earlier period has the day of what it corrects, and belongs to the window of
-- the bill that it is on. `identity` is one number for all that tells rows of the same amount apart.
SELECT
    provider, account, document,
    multiIf(charge_class = 'Correction', toDate(charge_start), charge_category = 'Usage', lines.day, standing_day) AS day,
    model, token_class, reason, quantity, amount, scale, import_id, row,
    charge_category                 AS category,
    charge_class = 'Correction'     AS correction,
    processing_tier,
    region,
    toUInt16(greatest(1, round(dateDiff('second', charge_start, charge_end) / 86400))) AS days,
    billing_currency,
    billed_amount,
    pricing_currency,
    pricing_amount,
    invoice_id,
    request_id,
    toString(sipHash64(charge_start, charge_end, line_item, project_id, api_key_id, user_id, invoice_detail_id,
                       deployment_type, modality, context_tier, tags)) AS identity
FROM tollway.invoice_current AS lines
WHERE invoice_status != 'Voided'
  AND multiIf(
      charge_class != 'Correction' AND charge_category = 'Usage',
          lines.day >= toDate({since:DateTime64(9, 'UTC')}, 'UTC') - 1
          AND lines.day <= toDate({until:DateTime64(9, 'UTC')}, 'UTC'),
      charge_class != 'Correction' OR document != 'invoice' OR invoice_id = '',
          standing_day >= toDate({since:DateTime64(9, 'UTC')}, 'UTC')
          AND standing_day < toDate({until:DateTime64(9, 'UTC')}, 'UTC'),
      -- A numbered invoice ends in the month of its last line that is no correction.
      (provider, account, invoice_id) IN (
          SELECT provider, account, invoice_id
          FROM tollway.invoice_current
          WHERE document = 'invoice' AND invoice_id != ''
          GROUP BY provider, account, invoice_id
          HAVING if(countIf(charge_class != 'Correction') = 0, max(standing_day),
                    maxIf(standing_day, charge_class != 'Correction'))
              BETWEEN toDate({since:DateTime64(9, 'UTC')}, 'UTC') AND toDate({until:DateTime64(9, 'UTC')}, 'UTC') - 1))
ORDER BY provider, account, document, day, model, token_class, import_id, row
