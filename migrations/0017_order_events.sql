-- The event that made an order.
ALTER TABLE orders ADD COLUMN made_seq BIGINT NOT NULL DEFAULT 0;

-- It is only in the ledger: the projector writes its tables anew.
DELETE FROM followers WHERE name = 'projector';
DELETE FROM orders;
DELETE FROM queue_entries;
DELETE FROM sale_counters;
DELETE FROM sale_series;
DELETE FROM attempts WHERE code = 'accepted';
