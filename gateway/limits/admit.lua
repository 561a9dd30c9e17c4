-- Decide calls, one after the other: all limits of a call's caller, and those of its first candidate that has room.
-- All are taken, or none. A counter that several of the calls share is read and written once.
--
-- KEYS: for each call the counters of its caller, then those of each of its candidates.
-- ARGV: for each call: tokens wanted, number of groups (the caller, then the candidates), the size of each group,
--       then for each of its keys: the limit, its window in ms, and 1 where it counts tokens.
-- A counter is a hash: bucket number -> count; `u` is their sum, `o` the oldest of them (see windows.py).
--
-- Answers Redis's time in ms, then for each call {the candidate's number from 0; -1: refused by a limit of the caller;
--          -2: no candidate has room, the number of the call's key that refuses from 0, ms until it would not,
--          then used and ms to the next release for each key of the caller and of the candidate}.

local BUCKETS = 50
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local counters, at_key, at = {}, 0, 0

local function number()
  at = at + 1
  return tonumber(ARGV[at])
end

-- The counter as it is now: what has left its window is let go of.
local function read(key, window)
  local it = {window = window, step = window / BUCKETS, added = 0}
  it.bucket = math.floor(now / it.step)
  local kept = redis.call('HMGET', key, 'u', 'o')
  it.used, it.oldest = tonumber(kept[1]) or 0, tonumber(kept[2]) or it.bucket
  local first, before = math.floor((now - window) / it.step), it.oldest
  while it.oldest < it.bucket do
    local count = redis.call('HGET', key, it.oldest)
    if count and it.oldest >= first then break end
    if count then
      redis.call('HDEL', key, it.oldest)
      it.used = it.used - count
    end
    it.oldest = it.oldest + 1
  end
  if it.oldest ~= before then redis.call('HSET', key, 'u', it.used, 'o', it.oldest) end
  counters[key] = it
  return it
end

local function write(key, it)
  local count = redis.call('HINCRBY', key, it.bucket, it.added)
  redis.call('HSET', key, 'u', it.used, 'o', it.oldest)
  if count == it.added then redis.call('PEXPIRE', key, it.window + 2 * it.step) end
end

local function leaves_in(it, bucket)
  return (bucket + 1) * it.step + it.window - now
end

local function wait(key, it, cost, most)
  local over = it.used + cost - most
  if cost == 0 or over <= 0 then return 0 end
  for bucket = it.oldest, it.bucket do
    over = over - (redis.call('HGET', key, bucket) or 0)
    if bucket == it.bucket then over = over - it.added end
    if over <= 0 then return leaves_in(it, bucket) end
  end
  return it.window
end

-- What a call would take of its next so many counters; how long it would have to wait, and for which of them.
local function examine(size, tokens, numbered)
  local parts, longest, culprit = {}, 0, nil
  for _ = 1, size do
    at_key, numbered = at_key + 1, numbered + 1
    local key, most, window, cost = KEYS[at_key], number(), number(), 1
    if number() == 1 then cost = math.min(tokens, most) end
    local it = counters[key] or read(key, window)
    local needed = wait(key, it, cost, most)
    if needed > longest then longest, culprit = needed, numbered - 1 end
    parts[#parts + 1] = {it = it, cost = cost}
  end
  return parts, longest, culprit, numbered
end

local function take(parts)
  for _, part in ipairs(parts) do
    local it = part.it
    it.used, it.added, it.oldest = it.used + part.cost, it.added + part.cost, math.min(it.oldest, it.bucket)
  end
end

local function tell(reply, parts)
  for _, part in ipairs(parts) do
    local it = part.it
    reply[#reply + 1] = it.used
    reply[#reply + 1] = it.used > 0 and leaves_in(it, it.oldest) or 0
  end
  return reply
end

local function decide()
  local tokens, groups, sizes = number(), number(), {}
  for group = 1, groups do sizes[group] = number() end
  local caller, longest, culprit, numbered = examine(sizes[1], tokens, 0)
  local reply = culprit and tell({-1, culprit, longest}, caller)
  local shortest, best = nil, nil
  for group = 2, groups do
    if reply then
      at_key, at = at_key + sizes[group], at + 3 * sizes[group]
    else
      local candidate, needed, refusing
      candidate, needed, refusing, numbered = examine(sizes[group], tokens, numbered)
      if not refusing then
        take(caller)
        take(candidate)
        reply = tell(tell({group - 2, 0, 0}, caller), candidate)
      elseif not shortest or needed < shortest then
        shortest, best = needed, refusing
      end
    end
  end
  if reply then return reply end
  if best then return tell({-2, best, shortest}, caller) end
  take(caller)
  return tell({0, 0, 0}, caller)
end

local answers = {now}
while at < #ARGV do answers[#answers + 1] = decide() end
for key, it in pairs(counters) do
  if it.added > 0 then write(key, it) end
end
return answers
