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
number = number or redis.call('INCR', key('worker'))  -- one whose registration was lost still holds what it held
local moment = now()
redis.call('HSET', key('workers'), number, string.sub(told, 1, -2) .. ',"started_at":' .. moment .. '}')
for i = 3, #ARGV do
    try('SADD', key('narrow'), ARGV[i])
end
redis.call('HSET', key('incarnations'), incarnation, number)
redis.call('HSET', key('beats'), number, moment)
return number
