-- How many attempts the cells beside a table hold, those told later among them; one row.
SELECT sum(attempts + refused + told_later) AS attempts
FROM tollway.{next:Identifier}
