--! alone
-- Store jobs that are plain: they wait in their queues and have no unique keys, no expiry and no relatives. This is
-- `enqueue` for most jobs, without what the others need.
--
-- ARGV: '1' if it may have been done before, else ''; then in runs of jobs with the same: queue, minus the priority,
-- head, how many they are, and id and payload of each.
-- Returns 1; 0, with nothing done, when `enqueue` has to look into it, and 2 when it has to because this may have been
-- done before.
-- Writes place, jobs, q:<queue>, queues, bell, bell:<queue>; reads narrow.

local name, pcall, time = KEYS[1] .. ':', redis.pcall, redis.call('TIME')
if time[1] + time[2] / 1e6 > tonumber(table.remove(ARGV)) then  -- see lib/base.lua
    return redis.error_reply('LATE step')
elseif ARGV[1] == '1' then
    return 2
end
local MOST = 4000  -- of a call's values; see lib/base.lua

local ids, lines, waiting, at = {}, {}, {}, 2
while at <= #ARGV do
    local queue, last = ARGV[at], at + 3 + 2 * ARGV[at + 3]
    if not lines[queue] then
        lines[queue], waiting[queue] = {}, pcall('ZCARD', name .. 'q:' .. queue)
        if type(waiting[queue]) ~= 'number' then
            return 0
        end
    end
    local n = #ids
    for i = at + 4, last, 2 do
        n = n + 1
        ids[n] = ARGV[i]
    end
    at = last + 1
end

local known = {}
for start = 1, #ids, MOST do
    local last = math.min(start + MOST - 1, #ids)
    local found = pcall('HMGET', name .. 'jobs', unpack(ids, start, last))
    for i = start, last do
        if found[i - start + 1] ~= false or known[ids[i]] then
            return 0
        end
        known[ids[i]] = true
    end
end
for queue in pairs(lines) do
    if type(pcall('SADD', name .. 'queues', queue)) ~= 'number' then
        return 0
    end
end
local place = pcall('INCRBY', name .. 'place', #ids)
if type(place) ~= 'number' then
    return 0
end

-- Most places differ from the one before in their last two digits, and last byte, only: the rest is written seldom.
local format, pack, char = string.format, struct.pack, string.char
local digits = setmetatable({}, {__index = function(known, number)
    known[number] = format('%02d', number)
    return known[number]
end})
local function hundreds_of(number)
    return number < 100 and '' or format('%d', math.floor(number / 100))
end
local function front_of(number)
    return string.sub(pack('>I8', number), 1, 7)
end

local records, moment = {}, format(' %s.%06d\n', time[1], time[2])
place, at = place - #ids, 2
local hundreds, front = hundreds_of(place), front_of(place)
while at <= #ARGV do
    local line, rank, last = lines[ARGV[at]], ARGV[at + 1], at + 3 + 2 * ARGV[at + 3]
    local head = moment .. ARGV[at + 2] .. '\n'
    local r, l = #records, #line
    for i = at + 4, last, 2 do
        place = place + 1
        local id, two, byte = ARGV[i], place % 100, place % 256
        hundreds, front = two == 0 and hundreds_of(place) or hundreds, byte == 0 and front_of(place) or front
        records[r + 1] = id
        records[r + 2] = hundreds .. (place < 100 and place or digits[two]) .. head .. ARGV[i + 1]
        line[l + 1], line[l + 2] = rank, front .. char(byte) .. id
        r, l = r + 2, l + 2
    end
    at = last + 1
end

local function add(command, key, values)
    for start = 1, #values, MOST do
        redis.call(command, key, unpack(values, start, math.min(start + MOST - 1, #values)))
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
