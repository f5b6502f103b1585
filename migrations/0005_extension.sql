-- Seconds of an admission's one extension; NULL, as 0, is none.
ALTER TABLE sale_counters ADD COLUMN extension_s BIGINT;
