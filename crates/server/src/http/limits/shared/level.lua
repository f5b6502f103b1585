#!lua
-- Counts requests in many buckets (GCRA). GcraParameters::count_request in buckets.rs computes the same.
--
-- KEYS: one per bucket. The value is the microsecond at which the bucket is empty; the key expires then.
-- ARGV: four per bucket: what a request adds; the capacity; the level known to the instance, for a server that lost its data;
-- the requests that the instance has served already, where 0 asks for one request to be allowed, and a negative number takes back
-- requests that were counted.
-- Returns a level per bucket; for a request that was not allowed, -1 minus the level.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local levels = {}
for i, key in ipairs(KEYS) do
    local at = i * 4
    local interval, burst = tonumber(ARGV[at - 3]), tonumber(ARGV[at - 2])
    local known, served = tonumber(ARGV[at - 1]), tonumber(ARGV[at])
    local before = (tonumber(redis.call('GET', key) or 0)) - now
    local level = math.min(math.max(before, 0), burst)
    local allowed = true
    if served < 0 then
        level = math.max(level + served * interval, 0)
        if level == 0 then
            redis.call('DEL', key)
        end
    elseif served > 0 then
        level = math.min(math.max(level + served * interval, known), burst)
    else
        level = math.min(math.max(level, known), burst)
        allowed = level + interval <= burst
        if allowed then
            level = level + interval
        end
    end
    if level > 0 and level ~= before then
        redis.call('SET', key, string.format('%.0f', now + level), 'PX', math.ceil(level / 1000))
    end
    levels[i] = allowed and level or -1 - level
end
return levels
