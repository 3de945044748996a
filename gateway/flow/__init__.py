"""One request on its way: the exchange decides by pure functions and acts; a trial is one call of one upstream."""
