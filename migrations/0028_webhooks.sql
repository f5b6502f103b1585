-- Webhooks: endpoints of the merchant, and what is to be sent to them. Times are milliseconds since 1970, UTC.

CREATE TABLE webhook_endpoints (
    id TEXT NOT NULL PRIMARY KEY,
    url TEXT NOT NULL,
    description TEXT,
    -- Types of events with spaces between, or *.
    types TEXT NOT NULL,
    -- Ids of sales with spaces between; empty for all sales.
    sale_ids TEXT NOT NULL,
    include_email BIGINT NOT NULL CHECK (include_email IN (0, 1)),
    -- Why it gets nothing: its receiver is gone, it has failed for long, or a merchant switched it off. NULL while it is enabled.
    disabled_reason TEXT CHECK (disabled_reason IN ('gone', 'failing', 'merchant')),
    -- Signs what is sent. It is read by the sender alone.
    secret TEXT NOT NULL,
    previous_secret TEXT,
    previous_secret_until BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    -- Since when every try failed.
    failing_since BIGINT,
    -- When a delivery was given up; NULL after the next success.
    gave_up_at BIGINT,
    -- Until when it gets nothing, because it is overloaded.
    paused_until BIGINT,
    -- Its deliveries are deleted in pieces, and then the row.
    deleted_at BIGINT
);

-- The events that have deliveries, each once. The body is what every try sends.
CREATE TABLE webhook_events (
    id TEXT NOT NULL PRIMARY KEY,
    type TEXT NOT NULL,
    sale_id TEXT,
    -- Whose address an endpoint may be allowed to get.
    buyer_id TEXT,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE INDEX webhook_events_by_created_at ON webhook_events (created_at);

CREATE TABLE webhook_deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    endpoint_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    sale_id TEXT,
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    -- To be sent although its endpoint is paused: a merchant asked for it.
    urgent BIGINT NOT NULL CHECK (urgent IN (0, 1)),
    -- Grows with each try and each resend. The result of a try counts only for the version that was sent.
    version BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    -- Failed tries since the last resend: the place in the schedule.
    step BIGINT NOT NULL,
    next_try_at BIGINT,
    created_at BIGINT NOT NULL,
    tried_at BIGINT,
    ended_at BIGINT,
    last_status BIGINT,
    last_error TEXT,
    last_reply TEXT,
    UNIQUE (event_id, endpoint_id)
);

CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_try_at) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_urgent ON webhook_deliveries (endpoint_id) WHERE state = 'pending' AND urgent = 1;
CREATE INDEX webhook_deliveries_failed ON webhook_deliveries (endpoint_id, ended_at) WHERE state = 'failed';
CREATE INDEX webhook_deliveries_by_created_at ON webhook_deliveries (endpoint_id, created_at, id);
CREATE INDEX webhook_deliveries_by_state ON webhook_deliveries (endpoint_id, state, created_at, id);
CREATE INDEX webhook_deliveries_old ON webhook_deliveries (created_at);
CREATE INDEX webhook_deliveries_by_sale ON webhook_deliveries (sale_id) WHERE state = 'pending';
