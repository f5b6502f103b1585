-- The last part of the library: the functions. `decide` takes a batch of commands and queries of one sale; `claim`, `begin`,
-- `load` and `finish` restore a sale's state. A sale is decided only from a state that was restored into this very process:
-- that is kept in the library's own memory, which no restart, replica or backup brings back.

-- The epoch of each sale that was restored wholly, by the sale's key.
local restored = {}
-- Which client restores a sale at the moment: { token, at }, and with an epoch once it has begun.
local claims = {}
-- How long a client may be silent before another may take its claim, in milliseconds.
local CLAIM_MS = 2000

-- By how much the server's clock may be set back, and from what on a step forwards is a clock that is corrected and no rest between two
-- calls, in milliseconds. A server is called every ten seconds at least.
local STEP_BACK_MAX, STEP_FORWARD_MIN = 3600000, 20000
-- The part of passing time by which a step back is made up for.
local SLEW = 0.05
-- The server's clock when it was last read, and by how much the time of the sales is ahead of it.
local clock_ms, ahead_ms = 0, 0

-- The time of the sales, in milliseconds: the server's clock, except that it goes on where that is set back. Otherwise no line would
-- move, and no hold would end, until the clock had caught up with the last event of the sale.
local function sales_ms()
    local time = call('TIME')
    local at = time[1] * 1000 + math.floor(time[2] / 1000)
    local passed = at - clock_ms
    if passed >= STEP_FORWARD_MIN then
        ahead_ms = max(ahead_ms - passed, 0)
    elseif passed >= 0 then
        ahead_ms = max(ahead_ms - passed * SLEW, 0)
    elseif passed >= -STEP_BACK_MAX then
        ahead_ms = min(ahead_ms - passed, STEP_BACK_MAX)
    else
        ahead_ms = 0
    end
    clock_ms = at
    return at + math.floor(ahead_ms)
end

local function query_buyer(id)
    local b = find_buyer(id)
    if not b then return pack('>BBBI4I4', 10, 0, 0, 0, 0) end
    local place = place_of(b)
    local bytes = pack('>BBBI4I4', 10, 1, place, b.held, b.owned)
    return place == 0 and bytes or bytes .. place_bytes(b)
end

local function query_order(id)
    local o = find_order(id)
    if not o then return pack('>BI4', 11, 0) end
    return pack('>BI4', 11, 1) .. order_bytes(o, o.stage == PENDING and o.made_at or o.moment)
end

local function query_orders(id)
    local b = find_buyer(id)
    local found, n = {}, 0
    local last = b and b.last or ''
    while last ~= '' do
        local o = find_order(last)
        n = n + 1
        found[n] = order_bytes(o, o.stage == PENDING and o.made_at or o.moment)
        last = o.previous
    end
    return pack('>BI4', 11, n) .. concat(found)
end

-- Members of the line after a ticket. The admitted are sorted here: their set is in the order of their ends.
local function query_line(after, limit)
    flush_set(keys.waiting)
    flush_set(keys.admitted)
    local members, fields = {}, {}
    for _, id in ipairs(call('ZRANGEBYSCORE', keys.waiting, '(' .. after, '+inf', 'LIMIT', 0, limit)) do
        fields[#fields + 1] = 'b' .. id
        members[#members + 1] = id
    end
    for _, at in ipairs(call('ZRANGE', keys.admitted, 0, -1)) do
        if unpack_bytes('>I4', at) > after then
            fields[#fields + 1] = 'b' .. sub(at, 5)
            members[#members + 1] = sub(at, 5)
        end
    end
    fetch(fields)
    for i = 1, #members do members[i] = find_buyer(members[i]) end
    table.sort(members, function(a, b) return a.ticket < b.ticket end)
    local n = min(#members, limit)
    local found, place = {}, nil
    for i = 1, n do
        local b = members[i]
        if b.ends == 0 then
            place = place and place + 1 or position(b.id)
            found[i] = b.id .. pack('>I4Bi8I4', b.ticket, 0, place, 0)
        else
            found[i] = b.id .. place_bytes(b)
        end
    end
    return pack('>BI4', 12, n) .. concat(found)
end

-- How each request is parsed and answered: commands first, queries from 'b' on.
local requests = {
    J = function(bytes) return join(sub(bytes, 2, 17)) end,
    L = function(bytes) return leave(sub(bytes, 2, 17)) end,
    M = function(bytes) return extend(sub(bytes, 2, 17)) end,
    R = function(bytes)
        local key = sub(bytes, 38)
        return reserve(sub(bytes, 2, 17), sub(bytes, 18, 33), unpack_bytes('>I4', bytes, 34), key ~= '' and key or nil)
    end,
    G = function(bytes) return begin_payment(sub(bytes, 2, 17), sub(bytes, 18, 33)) end,
    N = function(bytes) return end_payment(sub(bytes, 2, 17), sub(bytes, 18, 33)) end,
    C = function(bytes) return confirm(sub(bytes, 2, 17), sub(bytes, 18, 33)) end,
    X = function(bytes) return release(sub(bytes, 2, 17), sub(bytes, 18, 33), string.byte(bytes, 34)) end,
    F = function(bytes) return refund(sub(bytes, 2, 17), string.byte(bytes, 18)) end,
    S = function(bytes) return restock(unpack_bytes('>I4', bytes, 2)) end,
    K = function(bytes) return configure(sub(bytes, 2)) end,
    P = pause,
    U = resume,
    E = close,
    T = done,
    b = function(bytes) return query_buyer(sub(bytes, 2, 17)) end,
    o = function(bytes) return query_order(sub(bytes, 2, 17)) end,
    h = function(bytes) return query_orders(sub(bytes, 2, 17)) end,
    l = function(bytes) return query_line(unpack_bytes('>I4I4', bytes, 2)) end,
}

-- Reads the records that the requests need, all at once.
local function fetch_for(args, from)
    local fields, n = {}, 0
    for i = from, #args do
        local bytes = args[i]
        local kind = sub(bytes, 1, 1)
        if kind == 'F' or kind == 'o' then
            n = n + 1
            fields[n] = 'o' .. sub(bytes, 2, 17)
        elseif #bytes >= 17 and kind ~= 'K' then
            n = n + 1
            fields[n] = 'b' .. sub(bytes, 2, 17)
            if #bytes >= 33 then
                n = n + 1
                fields[n] = 'o' .. sub(bytes, 18, 33)
            end
        end
    end
    fetch(fields)
end

-- Applies what is due, then answers each request. All happens at one moment, so holds expire once; admissions may be over
-- when a pause ends, and the next in line may be admitted after any command that frees a unit.
local function answer_all(args, from)
    local before = 0
    expire_holds()
    lapse_admissions()
    for i = from, #args do
        if has_resumed then
            has_resumed = false
            lapse_admissions()
        end
        if policy then admit_next() end
        local bytes = args[i]
        local result = requests[sub(bytes, 1, 1)](bytes)
        answer(pack('>I4', events_len - before) .. result)
        before = events_len
    end
end

-- The reply. The policy goes with it unless the caller knows it, from this very epoch.
local function reply(epoch, known_epoch, known_policy_seq)
    local s = counters
    local is_new_policy = policy and (s.policy_seq ~= known_policy_seq or epoch ~= known_epoch)
    local flags = (s.paused and 1 or 0) + (s.closed and 2 or 0) + (policy and 4 or 0) + (is_new_policy and 8 or 0)
    local head = pack('>c1I8i8I8i8Bi8I8I8I8I8I8I8I4I8I4I4', 'D', epoch, now, s.seq - events_len, next_due() or -1, flags,
        s.paused_at, s.quantity, s.available, s.admitted, s.held, s.sold, s.short, s.waiting, s.policy_seq, #answers, events_len)
    return head .. (is_new_policy and policy_bytes or '') .. concat(answers) .. concat(events)
end

local function decide(names, args)
    local version, has_time, at, epoch_min, known_policy_seq = unpack_bytes('>I4Bi8I8I8', args[1])
    if version ~= VERSION then return redis.error_reply('ERR the library has version ' .. VERSION) end
    local named = keys_of(names)
    local kept = call('HMGET', named.sale, 'epoch', 'sums', 'policy')
    local epoch = restored[named.sale]
    if not epoch then return 'Rthe sale was not restored into this process' end
    if epoch < epoch_min then return 'Rthe epoch is over' end
    if tonumber(kept[1]) ~= epoch or not kept[2] then return 'Rthe sale is gone' end
    if not open_book(named, kept[2], kept[3]) then return 'Ra part of the sale is gone' end
    -- Time never runs backwards. In a call that only reads it does not run at all.
    now = has_time == 2 and counters.clock or max(has_time == 1 and at or sales_ms(), counters.clock)
    if has_time ~= 2 then
        fetch_for(args, 2)
        answer_all(args, 2)
    end
    flush_set(keys.waiting)
    flush_set(keys.admitted)
    flush_set(keys.held)
    local bytes = reply(epoch, epoch_min, known_policy_seq)
    close_book(epoch)
    return bytes
end

-- A call that fails may have written a part. Its sale is not decided again before its state is restored.
local function decide_or_forget(names, args)
    local succeeded, result = pcall(decide, names, args)
    if succeeded then return result end
    restored[names[1]] = nil
    return redis.error_reply('ERR ' .. (type(result) == 'table' and result.err or tostring(result)))
end

-- Claims the restoring of a sale. 0 when the caller has the claim, or how long to wait, in milliseconds.
local function claim(names, args)
    local at, other = sales_ms(), claims[names[1]]
    local silent_ms = other and other.token ~= args[1] and at - other.at
    -- A time before the claim's is that of a clock that was set back by hours.
    if silent_ms and silent_ms >= 0 and silent_ms < CLAIM_MS then return max(CLAIM_MS - silent_ms, 1) end
    claims[names[1]] = { token = args[1], at = at }
    return 0
end

-- Renews the claim of this token; nil when another client has it.
local function renew_claim(names, token)
    local mine = claims[names[1]]
    if not mine or mine.token ~= token then return nil end
    mine.at = sales_ms()
    return mine
end

local function begin(names, args)
    local token, epoch, counters_bytes, bytes = args[1], tonumber(args[2]), args[3], args[4]
    local mine = renew_claim(names, token)
    if not mine then return 'claimed by another' end
    local kept = tonumber(call('HGET', names[1], 'epoch') or 0)
    if epoch <= max(kept, restored[names[1]] or 0) then
        claims[names[1]] = nil
        return 'not newer'
    end
    restored[names[1]] = nil
    call('UNLINK', unpack(names))
    call('HSET', names[1], 'epoch', args[2], 'sums', counters_bytes, 'policy', bytes)
    mine.epoch = epoch
    return 'OK'
end

-- Writes a piece of the state: a command, and the key by its index.
local function load(names, args)
    if not renew_claim(names, args[1]) then return 'claimed by another' end
    call(args[2], names[tonumber(args[3])], unpack(args, 4))
    return 'OK'
end

local function finish(names, args)
    local mine = renew_claim(names, args[1])
    if not mine or not mine.epoch then return 'claimed by another' end
    claims[names[1]] = nil
    local kept = call('HMGET', names[1], 'epoch', 'sums', 'policy')
    if tonumber(kept[1]) ~= mine.epoch then return 'gone' end
    if not open_book(keys_of(names), kept[2], kept[3]) then return 'gone' end
    restored[names[1]] = mine.epoch
    return 'OK'
end

-- Registers a function under the library's name.
local function offer(name, answer_call)
    redis.register_function('doorbuster_' .. name, function(names, args)
        if not call then bind() end
        return answer_call(names, args)
    end)
end

offer('decide', decide_or_forget)
offer('claim', claim)
offer('begin', begin)
offer('load', load)
offer('finish', finish)

-- Takes no keys, and writes nothing: a replica may be asked, too.
redis.register_function({
    function_name = 'doorbuster_time',
    callback = function()
        if not call then bind() end
        return sales_ms()
    end,
    flags = { 'no-writes' },
})
