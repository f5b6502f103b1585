-- What wrk sends: METHOD PATH from the arguments, a token a request from a file, and a body from another, so that every
-- token meets every body once before any pair comes back. In the ORDER "in-turn" a body meets all tokens before the next one's
-- turn; with "spread" one request after the other has another body. The same requests go to the bare endpoint and to
-- Doorbuster, so that the generator costs the same in both.
--   wrk … -s load.lua URL -- METHOD PATH TOKENS BODIES [THREADS ORDER [EXTRA-HEADER]]
-- "{n}" in EXTRA-HEADER is the number of the request, which no other request has.
-- BODIES is "-" where there is none. THREADS is what -t says, 2 by itself.
local thread_count = 0

function setup(thread)
  thread:set("thread_no", thread_count)
  thread_count = thread_count + 1
end

local tokens, bodies = {}, {}
local head, tail, pair, step, is_spread, numbered

local function read_lines(path, into)
  for line in io.lines(path) do into[#into + 1] = line end
end

function init(args)
  local method, path, tokens_path, bodies_path = args[1], args[2], args[3], args[4]
  local extra = args[7]
  read_lines(tokens_path, tokens)
  head = method .. " " .. path .. " HTTP/1.1\r\nHost: doorbuster\r\n"
  tail = "Authorization: Bearer "
  if extra then
    local before, after = extra:match("^(.*){n}(.*)$")
    if before then
      head, tail = head .. before, after .. "\r\n" .. tail
    else
      head = head .. extra .. "\r\n"
    end
  end
  numbered = extra and extra:find("{n}", 1, true)
  if not numbered then head = head .. tail end
  if bodies_path == "-" then
    bodies[1] = "\r\n\r\n"
  else
    local texts = {}
    read_lines(bodies_path, texts)
    for i, text in ipairs(texts) do
      bodies[i] = "\r\nContent-Type: application/json\r\nContent-Length: " .. #text .. "\r\n\r\n" .. text
    end
  end
  pair, step, is_spread = thread_no, tonumber(args[5] or 2), args[6] == "spread"
end

function request()
  local token, body
  if is_spread then
    token, body = math.floor(pair / #bodies) % #tokens, pair % #bodies
  else
    token, body = pair % #tokens, math.floor(pair / #tokens) % #bodies
  end
  pair = pair + step
  if numbered then return head .. (pair - step) .. tail .. tokens[token + 1] .. bodies[body + 1] end
  return head .. tokens[token + 1] .. bodies[body + 1]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("result requests=%d us=%d p50_us=%d p99_us=%d refused=%d errors=%d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
