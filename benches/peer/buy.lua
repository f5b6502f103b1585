-- One purchase, decided and stored in one step: no other client's command runs in between.
--   KEYS  the sale, units by buyer, orders by id, orders by idempotency key (all of one sale)
--   ARGV  buyer, quantity, id for the order, idempotency key or ""
-- Replies {"ok", id, quantity, price, currency, moment} or {code of the refusal}.

local sale = redis.call('HMGET', KEYS[1], 'startsAt', 'endsAt', 'left', 'limit', 'price', 'currency')
if not sale[1] then return { 'sale_unknown' } end
local buyer, quantity, id, key = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]

-- The clock of Redis: the one that all workers share.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local asked = buyer .. ' ' .. key
if key ~= '' then
  local known = redis.call('HGET', KEYS[4], asked)
  if known then
    local many, at = string.match(redis.call('HGET', KEYS[3], known), ' (%d+) (%d+)$')
    if tonumber(many) ~= quantity then return { 'key_reused' } end
    return { 'ok', known, quantity, tonumber(sale[5]), sale[6], tonumber(at) }
  end
end

if now < tonumber(sale[1]) then return { 'not_started' } end
if now >= tonumber(sale[2]) then return { 'ended' } end
if tonumber(sale[3]) < quantity then return { 'sold_out' } end
local owned = tonumber(redis.call('HGET', KEYS[2], buyer) or 0)
if owned + quantity > tonumber(sale[4]) then return { 'limit_reached' } end

redis.call('HINCRBY', KEYS[1], 'left', -quantity)
redis.call('HINCRBY', KEYS[2], buyer, quantity)
redis.call('HSET', KEYS[3], id, buyer .. ' ' .. quantity .. ' ' .. string.format('%.0f', now))
if key ~= '' then redis.call('HSET', KEYS[4], asked, id) end
return { 'ok', id, quantity, tonumber(sale[5]), sale[6], now }
