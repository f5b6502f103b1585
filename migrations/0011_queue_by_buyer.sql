-- For buyers who ask what became of their place: the newest entry of one buyer in one line.
CREATE INDEX queue_entries_by_buyer ON queue_entries (sale_id, buyer_id, ticket);
