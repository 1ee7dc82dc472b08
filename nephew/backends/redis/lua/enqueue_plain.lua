--! alone
-- Store jobs that are plain: they wait in their queues and have no unique keys, no expiry and no relatives. This is
-- `enqueue` for most jobs, without what the others need.
--
-- ARGV: '1' if it may have been done before, else ''; for each job id, queue, minus its priority, head and payload.
-- Returns 1; 0, with nothing done, when `enqueue` has to look into it, and 2 when it has to because this may have been
-- done before.
-- Writes place, jobs, q:<queue>, queues, bell, bell:<queue>; reads narrow.

local name, pcall, time = KEYS[1] .. ':', redis.pcall, redis.call('TIME')
if time[1] + time[2] / 1e6 > tonumber(table.remove(ARGV)) then  -- see lib/base.lua
    return redis.error_reply('LATE step')
elseif ARGV[1] == '1' then
    return 2
end
local lines, waiting, known = {}, {}, {}
for i = 2, #ARGV, 4 do
    local id, queue = ARGV[i], ARGV[i + 1]
    if known[id] or pcall('HEXISTS', name .. 'jobs', id) ~= 0 then
        return 0
    end
    known[id] = true
    if not lines[queue] then
        lines[queue], waiting[queue] = {}, pcall('ZCARD', name .. 'q:' .. queue)
        if type(waiting[queue]) ~= 'number' or type(pcall('SADD', name .. 'queues', queue)) ~= 'number' then
            return 0
        end
    end
end
local count = (#ARGV - 1) / 4
local place = pcall('INCRBY', name .. 'place', count)
if type(place) ~= 'number' then
    return 0
end
local moment, records = string.format(' %s.%06d\n', time[1], time[2]), {}
for i = 1, count do
    local first, at = 4 * i - 2, place - count + i
    local id, line = ARGV[first], lines[ARGV[first + 1]]
    records[2 * i - 1], records[2 * i] = id, string.format('%.0f', at) .. moment .. ARGV[first + 3]
    line[#line + 1] = ARGV[first + 2]
    line[#line + 1] = struct.pack('>I8', at) .. id
end
local function add(command, key, values)
    for start = 1, #values, 4000 do
        redis.call(command, key, unpack(values, start, math.min(start + 3999, #values)))
    end
end
add('HSET', name .. 'jobs', records)
for queue, line in pairs(lines) do
    add('ZADD', name .. 'q:' .. queue, line)
    if waiting[queue] == 0 then  -- see `ring` in lib/base.lua
        if pcall('LLEN', name .. 'bell') == 0 then
            pcall('LPUSH', name .. 'bell', queue)
        end
        if pcall('SISMEMBER', name .. 'narrow', queue) == 1 and pcall('LLEN', name .. 'bell:' .. queue) == 0 then
            pcall('LPUSH', name .. 'bell:' .. queue, queue)
        end
    end
end
return 1
