#!lua
-- The levels of many buckets, for all instances. The same arithmetic is in buckets.rs (Pace::take).
--
-- KEYS: a bucket each; its value is the microsecond at which it is empty, and then it vanishes.
-- ARGV: four for each bucket: what a request adds; how full it may be; how full the instance knows it to be, for a server
-- that has lost what it knew; and how many requests the instance has served already: 0 asks for one to be allowed.
-- Says for each bucket how full it is; when a request was not allowed, that less than -1.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local told = {}
for i, key in ipairs(KEYS) do
    local at = i * 4
    local interval, burst = tonumber(ARGV[at - 3]), tonumber(ARGV[at - 2])
    local known, served = tonumber(ARGV[at - 1]), tonumber(ARGV[at])
    local before = (tonumber(redis.call('GET', key) or 0)) - now
    local level = math.min(math.max(before, 0), burst)
    local allowed = true
    if served > 0 then
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
    told[i] = allowed and level or -1 - level
end
return told
