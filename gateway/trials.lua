-- Whose turn it is to try each of some open circuits: one process's at a time.
--
-- KEYS: for each circuit its lease, which holds the process's name, and where others ask for it.
-- ARGV: this process's name, how long a lease and a question last in ms, then for each circuit what it is here:
--       2: a call is at its trial; 1: a call has lately come that would try it; 0: one has, but that is a while ago.
--
-- Who has it keeps it, until another asks while no call here needs it. Answers for each circuit 1 where it is ours.

local found = {}

for number = 1, #KEYS / 2 do
  local lease, asked = KEYS[2 * number - 1], KEYS[2 * number]
  local need, holder = tonumber(ARGV[3 + number]), redis.call('GET', lease)
  found[number] = 0
  if holder == ARGV[1] then
    if need == 0 and redis.call('EXISTS', asked) == 1 then
      redis.call('DEL', lease, asked)
    else
      redis.call('PEXPIRE', lease, ARGV[2])
      found[number] = 1
    end
  elseif need > 0 and not holder then
    redis.call('SET', lease, ARGV[1], 'PX', ARGV[2])
    found[number] = 1
  elseif need == 1 then
    redis.call('SET', asked, 1, 'PX', ARGV[3])
  end
end

return found
