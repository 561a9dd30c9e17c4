-- Decide one call: all limits of its caller, and those of the first candidate that has room. All are taken, or none.
--
-- KEYS: the counters of the caller, then those of each candidate.
-- ARGV: tokens wanted, number of groups (the caller, then the candidates), the size of each group,
--       then for each key: its limit, its window in ms, and 1 where it counts tokens.
-- A counter is a hash: bucket number -> count; `u` is their sum, `o` the oldest of them (see windows.py).
--
-- Answers {the candidate's number from 0; -1: refused by a limit of the caller; -2: no candidate has room,
--          Redis's time in ms, the number of the key that refuses from 0, ms until it would not,
--          then used and ms to the next release for each key of the caller and of the candidate}.

local BUCKETS = 50
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local tokens, groups = tonumber(ARGV[1]), tonumber(ARGV[2])

local function look(number)
  local at = 2 + groups + (number - 1) * 3
  local most, window = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local cost = 1
  if ARGV[at + 3] == '1' then cost = math.min(tokens, most) end
  local it = {key = KEYS[number], number = number, most = most, window = window, cost = cost, step = window / BUCKETS}
  it.bucket = math.floor(now / it.step)
  local kept = redis.call('HMGET', it.key, 'u', 'o')
  it.used, it.oldest = tonumber(kept[1]) or 0, tonumber(kept[2]) or it.bucket
  local first, before = math.floor((now - window) / it.step), it.oldest
  while it.oldest < it.bucket do
    local count = redis.call('HGET', it.key, it.oldest)
    if count and it.oldest >= first then break end
    if count then
      redis.call('HDEL', it.key, it.oldest)
      it.used = it.used - count
    end
    it.oldest = it.oldest + 1
  end
  if it.oldest ~= before then redis.call('HSET', it.key, 'u', it.used, 'o', it.oldest) end
  return it
end

local function leaves_in(it, bucket)
  return (bucket + 1) * it.step + it.window - now
end

local function wait(it)
  local over = it.used + it.cost - it.most
  if over <= 0 then return 0 end
  for bucket = it.oldest, it.bucket do
    over = over - (redis.call('HGET', it.key, bucket) or 0)
    if over <= 0 then return leaves_in(it, bucket) end
  end
  return it.window
end

local function examine(from, size)
  local seen, longest, culprit = {}, 0, nil
  for number = from, from + size - 1 do
    local it = look(number)
    local needed = wait(it)
    if needed > longest then longest, culprit = needed, it end
    seen[#seen + 1] = it
  end
  return seen, longest, culprit
end

local function take(it)
  local count = redis.call('HINCRBY', it.key, it.bucket, it.cost)
  it.used, it.oldest = it.used + it.cost, math.min(it.oldest, it.bucket)
  redis.call('HSET', it.key, 'u', it.used, 'o', it.oldest)
  if count == it.cost then redis.call('PEXPIRE', it.key, it.window + 2 * it.step) end
end

local function tell(reply, seen)
  for _, it in ipairs(seen) do
    reply[#reply + 1] = it.used
    reply[#reply + 1] = it.used > 0 and leaves_in(it, it.oldest) or 0
  end
  return reply
end

local size = tonumber(ARGV[3])
local caller, longest, culprit = examine(1, size)
if culprit then return tell({-1, now, culprit.number - 1, longest}, caller) end

local from, shortest, best = size + 1, nil, nil
for group = 2, groups do
  size = tonumber(ARGV[2 + group])
  local candidate, needed, refusing = examine(from, size)
  if not refusing then
    for _, it in ipairs(caller) do take(it) end
    for _, it in ipairs(candidate) do take(it) end
    return tell(tell({group - 2, now, 0, 0}, caller), candidate)
  end
  if not shortest or needed < shortest then shortest, best = needed, refusing end
  from = from + size
end
if best then return tell({-2, now, best.number - 1, shortest}, caller) end

for _, it in ipairs(caller) do take(it) end
return tell({0, now, 0, 0}, caller)
