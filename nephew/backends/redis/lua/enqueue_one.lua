--! alone
-- Store one job that waits in its queue and has no unique key, no expiry and no relatives: `enqueue` for most jobs,
-- without what the others need. A single call is waited for, and each function above it would cost it time.
--
-- ARGV: '1' if it may have been done before, else ''; id, queue, minus its priority, head and payload.
-- Returns 1; 0, with nothing done, when `enqueue` has to look into it, and 2 when it has to because this may have been
-- done before.
-- Writes place, jobs, q:<queue>, queues; tells `wake`.

local again, id, queue, rank, body = unpack(ARGV)
local jobs, line = KEYS[1] .. ':jobs', KEYS[1] .. ':q:' .. queue
if again == '1' then
    return 2
elseif redis.pcall('HEXISTS', jobs, id) ~= 0 then
    return 0
end
local waiting, time = redis.pcall('ZCARD', line), redis.call('TIME')
local known = redis.pcall('SADD', KEYS[1] .. ':queues', queue)
local place = redis.pcall('INCR', KEYS[1] .. ':place')
if type(waiting) ~= 'number' or type(known) ~= 'number' or type(place) ~= 'number' then
    return 0
end
redis.call('HSET', jobs, id, string.format('%.0f %s.%06d\n', place, time[1], time[2]) .. body)
redis.call('ZADD', line, rank, struct.pack('>I8', place) .. id)
if waiting == 0 then  -- see `ring` in lib/base.lua
    if redis.pcall('LLEN', KEYS[1] .. ':bell') == 0 then
        redis.call('LPUSH', KEYS[1] .. ':bell', queue)
    end
    if redis.pcall('SISMEMBER', KEYS[1] .. ':narrow', queue) == 1 then
        redis.pcall('LPUSH', KEYS[1] .. ':bell:' .. queue, queue)
    end
end
return 1
