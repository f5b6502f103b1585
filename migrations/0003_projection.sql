-- What the projector writes from the ledger, for people to query. All of it can be dropped and written again, but for the
-- refused attempts, which the ledger does not have. Times are milliseconds since 1970, UTC; `seq` is the event that last
-- changed the row.

-- How far each follower has read each sale. `mark` tells the event at `seq`, so that another ledger is noticed.
CREATE TABLE followers (
    name TEXT NOT NULL,
    sale_id TEXT NOT NULL,
    seq BIGINT NOT NULL CHECK (seq >= 0),
    mark TEXT NOT NULL,
    PRIMARY KEY (name, sale_id)
);

-- `short` is 0 for a whole ledger: see `sale::Counters::short`.
CREATE TABLE sale_counters (
    sale_id TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity >= 0),
    available BIGINT NOT NULL CHECK (available >= 0),
    admitted BIGINT NOT NULL CHECK (admitted >= 0),
    held BIGINT NOT NULL CHECK (held >= 0),
    sold BIGINT NOT NULL CHECK (sold >= 0),
    waiting BIGINT NOT NULL CHECK (waiting >= 0),
    short BIGINT NOT NULL CHECK (short >= 0),
    unit_price_minor BIGINT NOT NULL CHECK (unit_price_minor >= 0),
    currency TEXT NOT NULL,
    starts_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    limit_per_buyer BIGINT NOT NULL,
    hold_s BIGINT NOT NULL,
    admission TEXT NOT NULL CHECK (admission IN ('open', 'fifo')),
    per_second BIGINT,
    checkout_s BIGINT,
    line_opens_s BIGINT,
    paused_at BIGINT,
    closed_at BIGINT,
    CHECK (available + admitted + held + sold = quantity + short)
);

CREATE TABLE orders (
    id TEXT NOT NULL PRIMARY KEY,
    sale_id TEXT NOT NULL,
    buyer_id TEXT NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    unit_price_minor BIGINT NOT NULL CHECK (unit_price_minor >= 0),
    currency TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'confirmed', 'expired', 'cancelled', 'declined', 'refunded')),
    expires_at BIGINT CHECK ((status = 'pending') = (expires_at IS NOT NULL)),
    restocked BIGINT NOT NULL CHECK (restocked IN (0, 1)),
    made_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    seq BIGINT NOT NULL
);

CREATE INDEX orders_by_buyer ON orders (buyer_id, made_at);

CREATE INDEX orders_by_sale ON orders (sale_id, made_at);

CREATE INDEX orders_by_made_at ON orders (made_at);

CREATE TABLE queue_entries (
    sale_id TEXT NOT NULL,
    ticket BIGINT NOT NULL CHECK (ticket > 0),
    buyer_id TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('waiting', 'admitted', 'served', 'lapsed', 'left')),
    admitted_until BIGINT CHECK ((status = 'admitted') = (admitted_until IS NOT NULL)),
    joined_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (sale_id, ticket)
);

-- Every request to buy. `code` is 'accepted' or that of the refusal; in a flood one row stands for `count` refusals of one
-- second and has no buyer.
CREATE TABLE attempts (
    id TEXT NOT NULL PRIMARY KEY,
    sale_id TEXT NOT NULL,
    buyer_id TEXT,
    action TEXT NOT NULL,
    code TEXT NOT NULL,
    count BIGINT NOT NULL CHECK (count > 0),
    at BIGINT NOT NULL
);

CREATE INDEX attempts_by_sale ON attempts (sale_id, id);

CREATE INDEX attempts_refused ON attempts (sale_id, code) WHERE code <> 'accepted';
