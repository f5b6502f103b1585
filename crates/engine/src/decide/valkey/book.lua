#!lua name=doorbuster
-- The first part of the library: how a sale is kept in keys, and the copies of them that a call works on. A call reads the
-- records that its commands need in one HMGET, decides, and writes what has changed at its end, one command a key. Nothing
-- here decides. The order of the parts is book, sale, merchant, calls; they share their locals.

-- Raised with every change of any part: a server keeps the newest library that any of its clients has loaded.
local VERSION = 5

-- Functions of Redis. They do not exist while the library is loaded: the first call binds them.
local pack, unpack_bytes, sub, call, min, max, concat

local function bind()
    pack, unpack_bytes, sub, concat = struct.pack, struct.unpack, string.sub, table.concat
    call, min, max = redis.call, math.min, math.max
end

-- The latest moment that the law accepts; see sale::Timestamp::MAX.
local MOMENT_MAX = 253402207200999
-- Arguments of one redis.call, at most: Lua's stack holds some 8,000.
local ARGS_MAX = 2000

-- Layouts, as crates/engine/src/decide/valkey/records.rs writes them when it restores a sale.
local POLICY = '>I4i8c3i8i8I4I4BI4I4I4I4'
local COUNTERS = '>I8i8I8Bi8I8I8I8I8I8I8I4I4I4I4I8i8I4I4i8I4'
local BUYER = '>I4i8BI4I4I4'
local ORDER = '>c16I4I4Bi8i8i8B'
local RUN = '>i8I4'

-- How many orders of a buyer are searched for an idempotency key one by one. Nearly every buyer has fewer, and so nearly
-- no key needs a field of its own.
local KEYS_WALKED = 8

-- Stages of an order.
local PENDING, CONFIRMED, EXPIRED, CANCELLED, DECLINED, RESTOCKED, GONE = 0, 1, 2, 3, 4, 5, 6

-- The running call: its keys and moment, the sale's counters and policy, the records that it has read, and those to write.
local keys, now, counters, policy, policy_bytes
local raw, buyers, orders, changed
-- Members to add to the sorted sets (with their scores) or to remove (false), by set.
local edits
-- Answers and events as bytes, and the number of events.
local answers, events, events_len
-- True from the end of a pause until admissions that are over have lapsed.
local has_resumed

local policies, policies_len = {}, 0

-- Parses a policy. Policies seldom change, so the results are cached by their bytes.
local function read_policy(bytes)
    local known = policies[bytes]
    if known then return known end
    local p = {}
    p.quantity, p.minor, p.currency, p.starts_at, p.ends_at, p.limit, p.hold_s, p.kind, p.per_second, p.checkout_s,
        p.opens_s, p.extension_s = unpack_bytes(POLICY, bytes)
    p.fifo = p.kind == 1
    p.line_opens_at = p.starts_at - p.opens_s * 1000
    if policies_len > 1000 then policies, policies_len = {}, 0 end
    policies[bytes], policies_len = p, policies_len + 1
    return p
end

local function write_policy(p)
    return pack(POLICY, p.quantity, p.minor, p.currency, p.starts_at, p.ends_at, p.limit, p.hold_s, p.kind,
        p.per_second, p.checkout_s, p.opens_s, p.extension_s)
end

local function read_counters(bytes)
    local s = {}
    s.seq, s.clock, s.policy_seq, s.flags, s.paused_at, s.quantity, s.available, s.admitted, s.held, s.sold, s.short,
        s.waiting, s.tickets, s.orders, s.pending, s.records, s.shift, s.runs, s.recent, s.last_at, s.last_count =
        unpack_bytes(COUNTERS, bytes)
    s.paused = s.flags % 2 == 1
    s.closed = s.flags >= 2
    return s
end

local function write_counters()
    local s = counters
    local flags = (s.paused and 1 or 0) + (s.closed and 2 or 0)
    return pack(COUNTERS, s.seq, s.clock, s.policy_seq, flags, s.paused_at, s.quantity, s.available, s.admitted, s.held,
        s.sold, s.short, s.waiting, s.tickets, s.orders, s.pending, s.records, s.shift, s.runs, s.recent, s.last_at,
        s.last_count)
end

-- Reads fields of the book that the call has not read yet, as many as possible at once.
local function fetch(fields)
    local wanted, n = {}, 0
    for i = 1, #fields do
        local field = fields[i]
        if raw[field] == nil then
            raw[field] = false
            n = n + 1
            wanted[n] = field
        end
    end
    for from = 1, n, ARGS_MAX do
        local to = min(from + ARGS_MAX - 1, n)
        local values = call('HMGET', keys.book, unpack(wanted, from, to))
        for i = from, to do raw[wanted[i]] = values[i - from + 1] end
    end
end

local function field_of(field)
    local value = raw[field]
    if value == nil then
        value = call('HGET', keys.book, field)
        raw[field] = value
    end
    return value
end

-- A buyer's record, or nil when there is none. `ends` is the end of the admission, less the sale's shift; 0 while waiting.
-- `extended` is 1 when the admission has had its extension, `made` is the number of orders, `last` the newest.
local function find_buyer(id)
    local b = buyers[id]
    if b then return b end
    local bytes = field_of('b' .. id)
    if not bytes then return nil end
    b = { id = id }
    b.ticket, b.ends, b.extended, b.held, b.owned, b.made = unpack_bytes(BUYER, bytes)
    b.last = sub(bytes, 26)
    buyers[id] = b
    return b
end

local function enter_buyer(id)
    local b = find_buyer(id)
    if not b then
        b = { id = id, ticket = 0, ends = 0, extended = 0, held = 0, owned = 0, made = 0, last = '' }
        buyers[id] = b
        counters.records = counters.records + 1
    end
    changed[b] = true
    return b
end

-- An order's record, or nil when there is none. `moment` is the end of the hold while it is pending, then when it last changed;
-- `paying` is the later end of the hold while a payment is in progress, or 0.
local function find_order(id)
    local o = orders[id]
    if o then return o end
    local bytes = field_of('o' .. id)
    if not bytes then return nil end
    o = { id = id }
    local key_len
    o.buyer, o.quantity, o.number, o.stage, o.made_at, o.moment, o.paying, key_len = unpack_bytes(ORDER, bytes)
    o.key = sub(bytes, 51, 50 + key_len)
    o.previous = sub(bytes, 51 + key_len)
    orders[id] = o
    return o
end

-- The order that this buyer made with an idempotency key, if there is one.
local function find_by_key(b, key)
    if b.made > KEYS_WALKED then
        local id = field_of('k' .. b.id .. key)
        return id and find_order(id)
    end
    local last = b.last
    while last ~= '' do
        local o = find_order(last)
        if o.key == key then return o end
        last = o.previous
    end
    return nil
end

local function put_key(b, o)
    if o.key == '' then return end
    local field = 'k' .. b.id .. o.key
    if not field_of(field) then counters.records = counters.records + 1 end
    raw[field] = o.id
    changed[{ field = field, order = o.id }] = true
end

-- Gives a buyer's keys fields of their own from the order on with which searching one by one takes too long.
local function keep_key(b, o)
    if b.made == KEYS_WALKED + 1 then
        local last = o.previous
        while last ~= '' do
            local before = find_order(last)
            put_key(b, before)
            last = before.previous
        end
    end
    if b.made > KEYS_WALKED then put_key(b, o) end
end

-- A member of a sorted set: an order's number, or a ticket, goes before the id, so that it orders members with one score.
local function member(number, id) return pack('>I4', number) .. id end

-- Writes the changes of one sorted set.
local function flush_set(key)
    local edit = edits[key]
    if not edit then return end
    edits[key] = nil
    local adds, n, removes, m = {}, 0, {}, 0
    for id, score in pairs(edit) do
        if score then
            adds[n + 1], adds[n + 2] = score, id
            n = n + 2
        else
            m = m + 1
            removes[m] = id
        end
    end
    for from = 1, m, ARGS_MAX do call('ZREM', key, unpack(removes, from, min(from + ARGS_MAX - 1, m))) end
    for from = 1, n, ARGS_MAX do call('ZADD', key, unpack(adds, from, min(from + ARGS_MAX - 1, n))) end
end

-- Adds a member to a sorted set, or (score false) removes it, with the next flush.
local function edit_set(key, id, score)
    local edit = edits[key]
    if not edit then
        edit = {}
        edits[key] = edit
    end
    edit[id] = score
end

-- Writes the buyers, orders and keys that have changed.
local function flush_book()
    local fields, n = {}, 0
    for record in pairs(changed) do
        if record.ticket then
            fields[n + 1] = 'b' .. record.id
            fields[n + 2] = pack(BUYER, record.ticket, record.ends, record.extended, record.held,
                record.owned, record.made) .. record.last
        elseif record.stage then
            fields[n + 1] = 'o' .. record.id
            fields[n + 2] = pack(ORDER, record.buyer, record.quantity, record.number, record.stage, record.made_at,
                record.moment, record.paying, #record.key) .. record.key .. record.previous
        else
            fields[n + 1], fields[n + 2] = record.field, record.order
        end
        n = n + 2
    end
    for from = 1, n, ARGS_MAX do call('HSET', keys.book, unpack(fields, from, min(from + ARGS_MAX - 1, n))) end
end

-- The keys of a sale, all with its id as hash tag; `pace` and `outbox` are a list and a stream.
local function keys_of(names)
    return { sale = names[1], book = names[2], waiting = names[3], admitted = names[4], held = names[5], pace = names[6],
        outbox = names[7] }
end

-- Begins a call on a sale whose hash was read. False when a key lacks members that the counters say it has.
local function open_book(names, counters_bytes, bytes)
    keys = names
    counters = read_counters(counters_bytes)
    policy_bytes = bytes
    policy = bytes and bytes ~= '' and read_policy(bytes) or nil
    raw, buyers, orders, changed, edits = {}, {}, {}, {}, {}
    answers, events, events_len, has_resumed = {}, {}, 0, false
    return (counters.records == 0 or call('HLEN', keys.book) == counters.records)
        and (counters.waiting == 0 or call('ZCARD', keys.waiting) == counters.waiting)
        and (counters.admitted == 0 or call('ZCARD', keys.admitted) == counters.admitted)
        and (counters.pending == 0 or call('ZCARD', keys.held) == counters.pending)
        and (counters.runs == 0 or call('LLEN', keys.pace) == counters.runs)
end

-- Ends a call: writes all changes, and appends its events to the outbox.
local function close_book(epoch)
    local n = #events
    if n == 0 then return end
    flush_book()
    flush_set(keys.waiting)
    flush_set(keys.admitted)
    flush_set(keys.held)
    call('HSET', keys.sale, 'sums', write_counters(), 'policy', policy_bytes or '')
    local header = pack('>I8i8I8I4', epoch, now, counters.seq - events_len, events_len)
    call('XADD', keys.outbox, string.format('%.0f-0', counters.seq), 'd', header .. concat(events))
end
