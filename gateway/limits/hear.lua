-- Let each process know how far counters are used that others have moved, for the moment in which Redis is gone.
--
-- KEYS: the sorted set of counters by when they were moved last.
-- ARGV: since when the process has heard of others (Redis's time in ms), then the counters that it has moved itself.
-- Answers {Redis's time in ms, counter, used, counter, used, …}, the newest first.

local MOST, HOUR = 2000, 3600000
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

for number = 2, #ARGV do redis.call('ZADD', KEYS[1], now, ARGV[number]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - HOUR)
redis.call('PEXPIRE', KEYS[1], HOUR)

local reply = {now}
for _, key in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', ARGV[1], 'LIMIT', 0, MOST)) do
  local used = redis.call('HGET', key, 'u')
  if used then
    reply[#reply + 1] = key
    reply[#reply + 1] = tonumber(used)
  end
end
return reply
