-- Whether a sale's units must be paid before they are sold, and through which provider. Both are written before the sale is announced and
-- never changed. NULL: a version before this one made the sale; the next start takes it from the length of the hold in the ledger.
ALTER TABLE sales ADD COLUMN payment TEXT CHECK (payment IN ('required', 'none'));
ALTER TABLE sales ADD COLUMN provider TEXT NOT NULL DEFAULT 'sandbox';

-- While a payment is in progress: the end of the hold if the payment has not ended by then. NULL otherwise.
ALTER TABLE orders ADD COLUMN paying_until BIGINT;
