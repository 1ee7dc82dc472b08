--! uses workers
-- Make a worker known.
--
-- ARGV: its incarnation, JSON object of its registration, the queues that it serves (none: all).
-- Returns its number; that of before if it is known.
-- Writes worker, workers, incarnations, beats, narrow.

local incarnation, told = ARGV[1], ARGV[2]
local number = redis.call('HGET', key('incarnations'), incarnation)
if number and redis.call('HEXISTS', key('workers'), number) == 1 then
    return tonumber(number)
end
local moment = now()
if not number then  -- one whose registration was lost still holds what it held
    -- By the clock, not only by a counter: a server that lost its last moments must not give a number again.
    local last = tonumber(redis.call('GET', key('worker')) or 0)
    number = string.format('%.0f', math.max(last + 1, tonumber(moment) * 1000000))
    redis.call('SET', key('worker'), number)
end
redis.call('HSET', key('workers'), number, string.sub(told, 1, -2) .. ',"started_at":' .. moment .. '}')
for i = 3, #ARGV do
    try('SADD', key('narrow'), ARGV[i])
end
redis.call('HSET', key('incarnations'), incarnation, number)
redis.call('HSET', key('beats'), number, moment)
return tonumber(number)
