--! alone
-- Store one job that is plain; see enqueue_plain.lua. Somebody waits for it, so it is spared even that one's tables.
--
-- ARGV: '1' if it may have been done before, else ''; id, queue, minus its priority, head and payload.
-- Returns what enqueue_plain.lua does.
-- Writes place, jobs, q:<queue>, queues, bell, bell:<queue>; reads narrow.

local again, id, queue, rank, body, deadline = unpack(ARGV)
local name, pcall, time = KEYS[1] .. ':', redis.pcall, redis.call('TIME')
if time[1] + time[2] / 1e6 > tonumber(deadline) then  -- see lib/base.lua
    return redis.error_reply('LATE step')
elseif again == '1' then
    return 2
end
local line = name .. 'q:' .. queue
local waiting, known, place = pcall('ZCARD', line), pcall('SADD', name .. 'queues', queue),
    pcall('INCRBY', name .. 'place', 1)
if type(waiting) ~= 'number' or type(known) ~= 'number' or type(place) ~= 'number' then
    return 0
end
local record = string.format('%d %s.%06d\n', place, time[1], time[2]) .. body
if pcall('HSETNX', name .. 'jobs', id, record) ~= 1 then
    return 0
end
redis.call('ZADD', line, rank, struct.pack('>I8', place) .. id)
if waiting == 0 then  -- see `ring` in lib/base.lua
    if pcall('LLEN', name .. 'bell') == 0 then
        pcall('LPUSH', name .. 'bell', queue)
    end
    if pcall('SISMEMBER', name .. 'narrow', queue) == 1 and pcall('LLEN', name .. 'bell:' .. queue) == 0 then
        pcall('LPUSH', name .. 'bell:' .. queue, queue)
    end
end
return 1
