-- How many attempts the cells beside a table hold; one row.
SELECT sum(attempts + refused) AS attempts
FROM tollway.{next:Identifier}
