-- Those who wait in one queue at one priority, in order: a few before a place, or from it on.
--
-- ARGV: queue, minus the priority, place, how many, `up` (from the place on) or `down` (before it).
-- Returns them (see `ticket` in lib/job.lua), in ascending order.
-- Reads q:<queue>.

local line, score, place, count = key('q', ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local first = redis.call('ZCOUNT', line, '-inf', '(' .. score)
local behind = first + redis.call('ZCOUNT', line, score, score)

-- The rank of the first one who is not before the place.
local low, high = first, behind
while low < high do
    local middle = math.floor((low + high) / 2)
    if struct.unpack('>I8', redis.call('ZRANGE', line, middle, middle)[1]) < place then
        low = middle + 1
    else
        high = middle
    end
end
local from, to = low, math.min(low + count, behind)
if ARGV[5] == 'down' then
    from, to = math.max(low - count, first), low
end
return from < to and redis.call('ZRANGE', line, from, to - 1) or {}
