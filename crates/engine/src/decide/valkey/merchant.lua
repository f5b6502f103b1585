-- The third part of the library: a merchant's commands, as in crates/sale/src/decide/merchant.rs and orders.rs (refunds).
-- Nothing here takes back what was promised to a buyer.

local function refund(order, restock)
    local o = find_order(order)
    if not o then return refused(R.ORDER_UNKNOWN) end
    if o.stage == RESTOCKED or o.stage == GONE then return order_now(o, true) end
    if o.stage ~= CONFIRMED then return refused(R.ORDER_STATE) end
    emit(pack('>Bc16c16I4B', 12, o.buyer, order, o.quantity, restock))
    if restock == 1 then
        counters.sold = counters.sold - o.quantity
        free(o.quantity)
    end
    return change_order(o, restock == 1 and RESTOCKED or GONE)
end

-- True when a change only adds to what was promised: more units, a later end, a longer extension, any hold.
local function keeps_promises(old, new)
    return old.minor == new.minor and old.currency == new.currency and old.starts_at == new.starts_at
        and old.limit == new.limit and old.kind == new.kind and old.per_second == new.per_second
        and old.checkout_s == new.checkout_s and old.opens_s == new.opens_s and new.extension_s >= old.extension_s
        and new.quantity >= old.quantity and new.ends_at >= old.ends_at
end

local function has_promised(old)
    local opens_at = old.fifo and old.line_opens_at or old.starts_at
    return now >= opens_at or counters.tickets > 0 or counters.orders > 0
end

-- The client has checked whether the policy makes sense; it sends an empty one when it does not.
local function configure(bytes)
    if bytes == '' then return refused(R.BAD_POLICY) end
    local new = read_policy(bytes)
    if policy then
        if policy_bytes == bytes then return done() end
        local is = phase()
        if is == CLOSED then return refused(R.CLOSED) end
        if is == ENDED then return refused(R.PROMISE_MADE) end
        if has_promised(policy) and not keeps_promises(policy, new) then return refused(R.PROMISE_MADE) end
    end
    emit(pack('B', 0) .. bytes)
    resize(new.quantity)
    policy, policy_bytes, counters.policy_seq = new, bytes, counters.seq
    return done()
end

local function pause()
    if not policy then return refused(R.NOT_STARTED) end
    local is = phase()
    if is == CLOSED then return refused(R.CLOSED) end
    if is == ENDED then return refused(R.ENDED) end
    if not counters.paused then
        emit(pack('B', 1))
        counters.paused, counters.paused_at = true, now
    end
    return done()
end

-- Ends a pause: admissions get the time of the pause back.
local function end_pause()
    if counters.paused then
        counters.shift = counters.shift + max(now - counters.paused_at, 0)
        counters.paused, counters.paused_at, has_resumed = false, 0, true
    end
end

local function resume()
    if not policy then return refused(R.NOT_STARTED) end
    if counters.closed then return refused(R.CLOSED) end
    if counters.paused then
        emit(pack('B', 2))
        end_pause()
    end
    return done()
end

local function close()
    if not policy then return refused(R.NOT_STARTED) end
    if not counters.closed then
        emit(pack('B', 3))
        end_pause()
        counters.closed = true
    end
    return done()
end

local function restock(quantity)
    if not policy then return refused(R.NOT_STARTED) end
    local is = phase()
    if is == CLOSED then return refused(R.CLOSED) end
    if is == ENDED then return refused(R.ENDED) end
    if quantity == 0 or counters.quantity + quantity > QUANTITY_MAX then return refused(R.BAD_POLICY) end
    emit(pack('>BI4', 4, quantity))
    resize(counters.quantity + quantity)
    local new = {}
    for name, value in pairs(policy) do new[name] = value end
    new.quantity = policy.quantity + quantity
    policy_bytes, counters.policy_seq = write_policy(new), counters.seq
    policy = read_policy(policy_bytes)
    return done()
end
