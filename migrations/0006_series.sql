-- How a sale goes over time, for the board and the summary. Times are milliseconds since 1970, UTC.

-- One row for each second, minute and hour (`step_s`) of a sale in which something happened: how often, and where the units were
-- afterwards. `at` is the beginning. The projector writes it from the ledger; it can be dropped and written again.
CREATE TABLE sale_series (
    sale_id TEXT NOT NULL,
    step_s BIGINT NOT NULL CHECK (step_s IN (1, 60, 3600)),
    at BIGINT NOT NULL,
    joined BIGINT NOT NULL CHECK (joined >= 0),
    admitted BIGINT NOT NULL CHECK (admitted >= 0),
    left_line BIGINT NOT NULL CHECK (left_line >= 0),
    lapsed BIGINT NOT NULL CHECK (lapsed >= 0),
    ordered BIGINT NOT NULL CHECK (ordered >= 0),
    confirmed BIGINT NOT NULL CHECK (confirmed >= 0),
    expired BIGINT NOT NULL CHECK (expired >= 0),
    cancelled BIGINT NOT NULL CHECK (cancelled >= 0),
    declined BIGINT NOT NULL CHECK (declined >= 0),
    refunded BIGINT NOT NULL CHECK (refunded >= 0),
    units_available BIGINT NOT NULL CHECK (units_available >= 0),
    units_admitted BIGINT NOT NULL CHECK (units_admitted >= 0),
    units_held BIGINT NOT NULL CHECK (units_held >= 0),
    units_sold BIGINT NOT NULL CHECK (units_sold >= 0),
    waiting BIGINT NOT NULL CHECK (waiting >= 0),
    seq BIGINT NOT NULL,
    PRIMARY KEY (sale_id, step_s, at)
);

-- The same of refused attempts, by code. It is written with the attempts, and as little as they is it in any ledger.
CREATE TABLE sale_refusals (
    sale_id TEXT NOT NULL,
    step_s BIGINT NOT NULL CHECK (step_s IN (1, 60, 3600)),
    at BIGINT NOT NULL,
    code TEXT NOT NULL,
    count BIGINT NOT NULL CHECK (count > 0),
    PRIMARY KEY (sale_id, step_s, at, code)
);

INSERT INTO sale_refusals (sale_id, step_s, at, code, count)
SELECT sale_id, step_s, at / (step_s * 1000) * (step_s * 1000), code, CAST(SUM(count) AS BIGINT)
FROM attempts, (SELECT 1 AS step_s UNION ALL SELECT 60 UNION ALL SELECT 3600) AS steps
WHERE code <> 'accepted'
GROUP BY 1, 2, 3, 4;

-- When a place in line was admitted, if ever.
ALTER TABLE queue_entries ADD COLUMN admitted_at BIGINT;

-- When an order that was held was paid, if ever.
ALTER TABLE orders ADD COLUMN paid_at BIGINT;

-- When, for the first time, no unit was free, and when every unit was sold.
ALTER TABLE sale_counters ADD COLUMN taken_at BIGINT;
ALTER TABLE sale_counters ADD COLUMN sold_out_at BIGINT;

-- What is new above is only in the ledger: the projector writes its tables anew.
DELETE FROM followers WHERE name = 'projector';
DELETE FROM orders;
DELETE FROM queue_entries;
DELETE FROM sale_counters;
