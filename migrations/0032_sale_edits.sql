-- When a sale's row, or what it shows of its product, was last edited; 0 before the first edit.
ALTER TABLE sales ADD COLUMN edited_at BIGINT NOT NULL DEFAULT 0;
