-- Has a row while a data folder is being moved into this database: until the move is complete, nothing may be sold from it. Times are
-- milliseconds since 1970, UTC.
CREATE TABLE moves (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    -- Of several runs of the move, the one that writes; only it may take the row away.
    run TEXT NOT NULL,
    started_at BIGINT NOT NULL
);
