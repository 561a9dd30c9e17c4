-- Change what was counted: an estimate gives way to the truth, a call that was not made gives back what it took.
--
-- KEYS: counters. ARGV: for each its window in ms, the time in ms at which it was counted, and the difference.

local BUCKETS = 50
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

for number, key in ipairs(KEYS) do
  local at = (number - 1) * 3
  local window, amount = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 3])
  local step = window / BUCKETS
  local bucket = math.floor(ARGV[at + 2] / step)
  local known = tonumber(redis.call('HGET', key, bucket))
  if known then
    amount = math.max(amount, 0 - known) -- not -known: that would be -0, which is no integer to Redis
    redis.call('HINCRBY', key, bucket, amount)
    redis.call('HINCRBY', key, 'u', amount)
  elseif amount > 0 and bucket >= math.floor((now - window) / step) then
    local oldest = tonumber(redis.call('HGET', key, 'o')) or bucket
    redis.call('HINCRBY', key, bucket, amount)
    redis.call('HINCRBY', key, 'u', amount)
    redis.call('HSET', key, 'o', math.min(oldest, bucket))
    redis.call('PEXPIRE', key, window + 2 * step)
  end
end
