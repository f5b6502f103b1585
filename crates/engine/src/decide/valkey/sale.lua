-- The second part of the library: the law of a sale for buyers and for time itself, rule by rule as in crates/sale and in
-- the same order; when the two differ, crates/sale is right. It decides on the call's copies of the records. It never reads
-- a clock, and asks Redis only for places in line and for what is due.

local UPCOMING, ACTIVE, PAUSED, ENDED, CLOSED = 0, 1, 2, 3, 4

-- Refusals, by their index in sale::Refusal::CODES.
local R = { NOT_STARTED = 0, ENDED = 1, PAUSED = 2, CLOSED = 3, SOLD_OUT = 4, ALL_HELD = 5, NOT_IN_LINE = 6,
    NOT_ADMITTED = 7, ALREADY_IN_LINE = 8, NO_LINE = 9, NO_EXTENSION = 10, LIMIT_REACHED = 11, KEY_REUSED = 12,
    ORDER_UNKNOWN = 13, ORDER_EXPIRED = 14, NOT_YOUR_ORDER = 15, ORDER_STATE = 16, PROMISE_MADE = 17, BAD_POLICY = 18,
    ORDER_PAYING = 19 }
local QUANTITY_MAX = 10000000
-- How much longer than another hold a payment in progress may prolong a hold, in milliseconds.
local PAYMENT_EXTRA_MS = 60000
-- The width of the window in which admissions are counted, in milliseconds.
local PACE_MS = 1000

local function moment_after(ms) return min(now + ms, MOMENT_MAX) end

-- Adds an event; its first byte is the kind, as in the ledger.
local function emit(bytes)
    events_len = events_len + 1
    events[events_len] = bytes
    counters.seq = counters.seq + 1
    counters.clock = now
end

local function phase()
    if counters.closed then return CLOSED end
    if not policy then return UPCOMING end
    if now >= policy.ends_at then return ENDED end
    if now < policy.starts_at then return UPCOMING end
    if counters.paused then return PAUSED end
    return ACTIVE
end

-- Units: available + admitted + held + sold = quantity + short; units that are freed reduce `short` first.

local function take(n)
    local taken = min(n, counters.available)
    counters.available = counters.available - taken
    counters.short = counters.short + n - taken
end

local function free(n)
    local repaid = min(n, counters.short)
    counters.short = counters.short - repaid
    counters.available = counters.available + n - repaid
end

local function resize(quantity)
    if quantity >= counters.quantity then free(quantity - counters.quantity) else take(counters.quantity - quantity) end
    counters.quantity = quantity
end

-- Answers.

local function answer(bytes) answers[#answers + 1] = bytes end

local function done() return pack('B', 0) end

local function refused(code, extra)
    local bytes = pack('BB', 4, code)
    return extra and bytes .. extra or bytes
end

local function order_bytes(o, changed_at)
    return o.id .. pack('>c16I4i8i8Bi8i8', o.buyer, o.quantity, o.made_at, changed_at, o.stage, o.moment, o.paying)
end

local function order_now(o, repeated)
    return pack('BB', 3, repeated and 1 or 0) .. order_bytes(o, o.stage == PENDING and o.made_at or o.moment)
end

-- The line.

-- Waiting buyers ahead, plus one.
local function position(buyer)
    flush_set(keys.waiting)
    return call('ZRANK', keys.waiting, buyer) + 1
end

local function admitted_until(b) return min(b.ends + counters.shift, MOMENT_MAX) end

-- 0 for no place, 1 waiting, 2 admitted. What was due has been applied before any command, so that an admission that is
-- there is not over.
local function place_of(b)
    if not b or b.ticket == 0 then return 0 end
    return b.ends == 0 and 1 or 2
end

-- Seconds that a buyer may still add to an admission: once, as long as the policy has it.
local function extension_left(b) return b.extended == 0 and policy and policy.extension_s or 0 end

local function place_bytes(b)
    if b.ends == 0 then return pack('>I4Bi8I4', b.ticket, 0, position(b.id), 0) end
    return pack('>I4Bi8I4', b.ticket, 1, admitted_until(b), extension_left(b))
end

-- Removes a buyer from the line, and frees the unit that an admission had reserved.
local function drop_place(b)
    if b.ends == 0 then
        edit_set(keys.waiting, b.id, false)
        counters.waiting = counters.waiting - 1
    else
        edit_set(keys.admitted, member(b.ticket, b.id), false)
        counters.admitted = counters.admitted - 1
        free(1)
    end
    b.ticket, b.ends, b.extended = 0, 0, 0
    changed[b] = true
end

-- How many buyers may be admitted now, and which part of the window is over: the number of runs at the front of the list,
-- their sum, and whether the last run is over, too.
local function pace_left()
    if counters.last_count == 0 then return policy.per_second, 0, 0, false end
    local over, gone, at_front = 0, 0, counters.runs
    while over < counters.runs do
        local page = call('LRANGE', keys.pace, over, over + 15)
        local before = over
        for i = 1, #page do
            local at, count = unpack_bytes(RUN, page[i])
            if now - at < PACE_MS then break end
            over, gone = over + 1, gone + count
        end
        if over - before < #page or #page == 0 then break end
    end
    local all_over = over == at_front and now - counters.last_at >= PACE_MS
    if all_over then gone = gone + counters.last_count end
    return max(policy.per_second - (counters.recent - gone), 0), over, gone, all_over
end

-- Counts admissions of this moment, and removes those outside the window.
local function pace_record(count, over, gone, all_over)
    if over > 0 then
        call('LTRIM', keys.pace, over, -1)
        counters.runs = counters.runs - over
    end
    counters.recent = counters.recent - gone + count
    if all_over then counters.last_count = 0 end
    if counters.last_count > 0 and counters.last_at >= now then
        counters.last_count = counters.last_count + count
        return
    end
    if counters.last_count > 0 then
        call('RPUSH', keys.pace, pack(RUN, counters.last_at, counters.last_count))
        counters.runs = counters.runs + 1
    end
    counters.last_at, counters.last_count = now, count
end

-- The first moment at which one more buyer may be admitted; nil when the pace allows it at any moment.
local function pace_allows_from()
    local recent, from = counters.recent, nil
    for i = 0, counters.runs - 1 do
        if recent < policy.per_second then return from end
        local at, count = unpack_bytes(RUN, call('LINDEX', keys.pace, i))
        recent, from = recent - count, at + PACE_MS
    end
    if counters.last_count > 0 and recent >= policy.per_second then from = counters.last_at + PACE_MS end
    return from
end

-- Changes by time alone.

local function expire_holds()
    if counters.pending == 0 then return end
    repeat
        local due = call('ZRANGEBYSCORE', keys.held, '-inf', now, 'LIMIT', 0, ARGS_MAX)
        if #due == 0 then return end
        local fields = {}
        for i = 1, #due do fields[i] = 'o' .. sub(due[i], 5) end
        fetch(fields)
        for i = 1, #due do fields[i] = 'b' .. find_order(sub(due[i], 5)).buyer end
        fetch(fields)
        for i = 1, #due do
            local o = find_order(sub(due[i], 5))
            local b = find_buyer(o.buyer)
            emit(pack('>Bc16c16I4B', 11, o.buyer, o.id, o.quantity, 2))
            o.stage, o.moment, o.paying = EXPIRED, now, 0
            b.held = b.held - o.quantity
            changed[o], changed[b] = true, true
            counters.held, counters.pending = counters.held - o.quantity, counters.pending - 1
            free(o.quantity)
            edit_set(keys.held, due[i], false)
        end
        flush_set(keys.held)
    until #due < ARGS_MAX
end

local function lapse_admissions()
    if counters.paused or counters.admitted == 0 then return end
    flush_set(keys.admitted)
    repeat
        local due = call('ZRANGEBYSCORE', keys.admitted, '-inf', now - counters.shift, 'LIMIT', 0, ARGS_MAX)
        if #due == 0 then return end
        local fields = {}
        for i = 1, #due do fields[i] = 'b' .. sub(due[i], 5) end
        fetch(fields)
        for i = 1, #due do
            local b = find_buyer(sub(due[i], 5))
            emit(pack('>Bc16I4', 8, b.id, b.ticket))
            drop_place(b)
        end
        flush_set(keys.admitted)
    until #due < ARGS_MAX
end

-- Admits from the head of the line, one for each free unit, as fast as the policy allows.
local function admit_next()
    if counters.available == 0 or counters.waiting == 0 or not policy.fifo or phase() ~= ACTIVE then return end
    local count, over, gone, all_over = pace_left()
    count = min(count, counters.available, counters.waiting)
    if count == 0 then return end
    pace_record(count, over, gone, all_over)
    local ends_at = moment_after(policy.checkout_s * 1000)
    while count > 0 do
        flush_set(keys.waiting)
        local next_ones = call('ZRANGE', keys.waiting, 0, min(count, ARGS_MAX) - 1)
        local fields = {}
        for i = 1, #next_ones do fields[i] = 'b' .. next_ones[i] end
        fetch(fields)
        for i = 1, #next_ones do
            local b = find_buyer(next_ones[i])
            emit(pack('>Bc16I4i8', 7, b.id, b.ticket, ends_at))
            edit_set(keys.waiting, b.id, false)
            b.ends, b.extended = ends_at - counters.shift, 0
            edit_set(keys.admitted, member(b.ticket, b.id), b.ends)
            counters.waiting, counters.admitted = counters.waiting - 1, counters.admitted + 1
            take(1)
            changed[b] = true
        end
        count = count - #next_ones
    end
end

-- The earliest moment at which a tick would do something; nil when only a command can change anything.
local function next_due()
    local due
    local function first(key, shift)
        local head = call('ZRANGE', key, 0, 0, 'WITHSCORES')
        local at = min(tonumber(head[2]) + shift, MOMENT_MAX)
        due = due and min(due, at) or at
    end
    if counters.pending > 0 then first(keys.held, 0) end
    if counters.admitted > 0 and not counters.paused then first(keys.admitted, counters.shift) end
    local admits = policy and policy.fifo and not counters.closed and not counters.paused
    if admits and counters.waiting > 0 and counters.available > 0 then
        local at = max(policy.starts_at, pace_allows_from() or policy.starts_at, counters.clock)
        if at < policy.ends_at then due = due and min(due, at) or at end
    end
    return due and max(due, counters.clock)
end

-- Commands of buyers.

local function join(id)
    if not policy then return refused(R.NOT_STARTED) end
    local is = phase()
    if is == CLOSED then return refused(R.CLOSED) end
    if is == ENDED then return refused(R.ENDED) end
    if not policy.fifo then return refused(R.NO_LINE) end
    if now < policy.line_opens_at then return refused(R.NOT_STARTED) end
    local b = find_buyer(id)
    if place_of(b) ~= 0 then return refused(R.ALREADY_IN_LINE, place_bytes(b)) end
    if b and b.held + b.owned >= policy.limit then return refused(R.LIMIT_REACHED) end
    if counters.sold >= counters.quantity then return refused(R.SOLD_OUT) end
    counters.tickets = counters.tickets + 1
    local ticket = counters.tickets
    emit(pack('>Bc16I4', 5, id, ticket))
    b = enter_buyer(id)
    b.ticket, b.ends, b.extended = ticket, 0, 0
    edit_set(keys.waiting, id, ticket)
    counters.waiting = counters.waiting + 1
    return pack('>BI4I4', 1, ticket, counters.waiting)
end

local function leave(id)
    local b = find_buyer(id)
    local place = place_of(b)
    if place == 0 then return refused(R.NOT_IN_LINE) end
    local ticket = b.ticket
    emit(pack('>Bc16I4B', 6, id, ticket, place == 2 and 1 or 0))
    drop_place(b)
    return pack('>BI4', 2, ticket)
end

-- Extends an admission once. A repetition gets the same answer.
local function extend(id)
    if not policy then return refused(R.NOT_STARTED) end
    if not policy.fifo then return refused(R.NO_LINE) end
    local b = find_buyer(id)
    local place = place_of(b)
    if place == 0 then return refused(R.NOT_IN_LINE) end
    if place == 1 then return refused(R.NOT_ADMITTED, pack('>I4I4', b.ticket, position(id))) end
    if b.extended == 1 then return pack('>BI4i8B', 5, b.ticket, admitted_until(b), 1) end
    if policy.extension_s == 0 then return refused(R.NO_EXTENSION) end
    local until_at = min(admitted_until(b) + policy.extension_s * 1000, MOMENT_MAX)
    emit(pack('>Bc16I4i8', 13, id, b.ticket, until_at))
    b.ends, b.extended = until_at - counters.shift, 1
    changed[b] = true
    edit_set(keys.admitted, member(b.ticket, id), b.ends)
    return pack('>BI4i8B', 5, b.ticket, until_at, 0)
end

-- Whether the sale's phase allows a reservation: nil, or why not. An admission outlives the end of the sale.
local function may_reserve(is_admitted)
    local is = phase()
    if is == ACTIVE then return nil end
    if (is == CLOSED or is == ENDED) and is_admitted then
        if not counters.paused then return nil end
        if is == ENDED then return R.PAUSED end
    end
    if is == CLOSED then return R.CLOSED end
    if is == ENDED then return R.ENDED end
    if is == UPCOMING then return R.NOT_STARTED end
    return R.PAUSED
end

-- Why there are no units for a new order: nil when there are.
local function no_units(b, place, quantity)
    if place == 0 and policy.fifo then
        return refused(counters.sold >= counters.quantity and R.SOLD_OUT or R.NOT_IN_LINE)
    end
    if place == 1 then return refused(R.NOT_ADMITTED, pack('>I4I4', b.ticket, position(b.id))) end
    local from_stock, others_have = quantity, counters.held + counters.admitted
    if place == 2 then from_stock, others_have = quantity - 1, others_have - b.held - 1 end
    -- With a whole ledger an admission always has its unit. If an event is missing, two buyers may share one.
    local oversells = policy.hold_s == 0 and counters.sold + quantity > counters.quantity
    if counters.available >= from_stock and not oversells then return nil end
    return refused(others_have > 0 and R.ALL_HELD or R.SOLD_OUT)
end

-- Makes the order: a hold, or a sale at once where the policy has no hold.
local function sell(id, order, quantity, key, place)
    local b = enter_buyer(id)
    local from = pack('>BI4', place == 2 and 1 or 0, b.ticket)
    local key_bytes = pack('B', key and 1 or 0) .. (key or '')
    if place == 2 then drop_place(b) end
    take(quantity)
    local o = { id = order, buyer = id, quantity = quantity, number = counters.orders, made_at = now, paying = 0,
        key = key or '', previous = b.last }
    if policy.hold_s == 0 then
        o.stage, o.moment = CONFIRMED, now
        emit(pack('>Bc16c16I4', 10, id, order, quantity) .. from .. key_bytes)
        counters.sold = counters.sold + quantity
        b.owned = b.owned + quantity
    else
        o.stage, o.moment = PENDING, moment_after(policy.hold_s * 1000)
        emit(pack('>Bc16c16I4i8', 9, id, order, quantity, o.moment) .. from .. key_bytes)
        counters.held, counters.pending = counters.held + quantity, counters.pending + 1
        b.held = b.held + quantity
        edit_set(keys.held, member(o.number, order), o.moment)
    end
    b.last, b.made = order, b.made + 1
    orders[order] = o
    changed[o] = true
    counters.orders, counters.records = counters.orders + 1, counters.records + 1
    keep_key(b, o)
    return order_now(o, false)
end

local function reserve(id, order, quantity, key)
    if quantity == 0 then return refused(R.BAD_POLICY) end
    local b = find_buyer(id)
    local made = b and key and find_by_key(b, key)
    if made then
        -- First of all: a repetition gets the same answer, even when the sale is over.
        if made.quantity == quantity then return order_now(made, true) end
        return refused(R.KEY_REUSED)
    end
    if find_order(order) then return refused(R.ORDER_STATE) end
    if not policy then return refused(R.NOT_STARTED) end
    local place = place_of(b)
    local not_now = may_reserve(place == 2)
    if not_now then return refused(not_now) end
    if (b and b.held + b.owned or 0) + quantity > policy.limit then return refused(R.LIMIT_REACHED) end
    return no_units(b, place, quantity) or sell(id, order, quantity, key, place)
end

-- The buyer's own order, or a refusal.
local function own_order(id, order)
    local o = find_order(order)
    if not o then return nil, refused(R.ORDER_UNKNOWN) end
    if o.buyer ~= id then return nil, refused(R.NOT_YOUR_ORDER) end
    return o
end

-- Changes the stage of an order; one that was pending is no longer due.
local function change_order(o, stage)
    local was = o.stage
    if was == PENDING then
        edit_set(keys.held, member(o.number, o.id), false)
        counters.held, counters.pending = counters.held - o.quantity, counters.pending - 1
    end
    o.stage, o.moment, o.paying = stage, now, 0
    local b = find_buyer(o.buyer)
    if was == PENDING then b.held = b.held - o.quantity end
    if was == CONFIRMED then b.owned = b.owned - o.quantity end
    if stage == CONFIRMED then b.owned = b.owned + o.quantity end
    changed[o], changed[b] = true, true
    return order_now(o, false)
end

-- Moves the end of a pending order's hold: `paying` is the later end of a payment in progress, or 0.
local function move_hold_end(o, paying)
    o.paying = paying
    edit_set(keys.held, member(o.number, o.id), paying > 0 and paying or o.moment)
    changed[o] = true
    return order_now(o, false)
end

-- Prolongs the hold for a payment that is about to be authorised. A repetition changes nothing.
local function begin_payment(id, order)
    local o, no = own_order(id, order)
    if not o then return no end
    if o.stage == CONFIRMED then return order_now(o, true) end
    if o.stage == RESTOCKED or o.stage == GONE then return refused(R.ORDER_STATE) end
    if o.stage ~= PENDING then return refused(R.ORDER_EXPIRED) end
    if o.paying > 0 then return order_now(o, true) end
    local hold_ms = policy and policy.hold_s * 1000 or 0
    local until_at = min(min(o.moment + hold_ms, MOMENT_MAX) + PAYMENT_EXTRA_MS, MOMENT_MAX)
    emit(pack('>Bc16c16I4i8i8', 14, id, order, o.quantity, o.moment, until_at))
    return move_hold_end(o, until_at)
end

-- Gives the hold its own end back; a hold that is over by that expires at once. Where no payment is in progress, nothing
-- changes.
local function end_payment(id, order)
    local o, no = own_order(id, order)
    if not o then return no end
    if o.stage ~= PENDING or o.paying == 0 then return order_now(o, true) end
    emit(pack('>Bc16c16I4i8', 15, id, order, o.quantity, o.moment))
    if o.moment > now then return move_hold_end(o, 0) end
    emit(pack('>Bc16c16I4B', 11, id, order, o.quantity, 2))
    free(o.quantity)
    return change_order(o, EXPIRED)
end

local function confirm(id, order)
    local o, no = own_order(id, order)
    if not o then return no end
    if o.stage == CONFIRMED then return order_now(o, true) end
    if o.stage == RESTOCKED or o.stage == GONE then return refused(R.ORDER_STATE) end
    -- An order that has expired stays so: its buyer may have read that, and bought another.
    if o.stage ~= PENDING then return refused(R.ORDER_EXPIRED) end
    if counters.sold + o.quantity > counters.quantity then return refused(R.ORDER_EXPIRED) end
    emit(pack('>Bc16c16I4BI4B', 10, id, order, o.quantity, 2, 0, 0))
    counters.sold = counters.sold + o.quantity
    return change_order(o, CONFIRMED)
end

local function release(id, order, reason)
    local o, no = own_order(id, order)
    if not o then return no end
    local stage = reason == 0 and CANCELLED or DECLINED
    if o.stage == stage then return order_now(o, true) end
    if o.stage == PENDING then
        if o.paying > 0 then return refused(R.ORDER_PAYING) end
        emit(pack('>Bc16c16I4B', 11, id, order, o.quantity, reason))
        free(o.quantity)
        return change_order(o, stage)
    end
    local is_over = o.stage == EXPIRED or o.stage == CANCELLED or o.stage == DECLINED
    return refused(is_over and R.ORDER_EXPIRED or R.ORDER_STATE)
end
