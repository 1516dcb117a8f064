"""Analytics: what happened in each minute, hour and day, counted from the tenants' histories."""
