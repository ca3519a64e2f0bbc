"""Small tables: many updates of many starts in one compiled call."""
