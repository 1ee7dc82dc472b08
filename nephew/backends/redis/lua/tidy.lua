--! uses job, ends, data
-- Delete what is over: data, and ends and results that have been kept for long enough.
--
-- ARGV: the most of each.
-- Returns how many.
-- Writes data, revoked, data_until, slots, ends:<slot>.

local most, moment = tonumber(ARGV[1]), now()
local data = redis.call('ZRANGEBYSCORE', key('data_until'), '-inf', moment, 'LIMIT', 0, most)
for _, name in ipairs(data) do
    drop_datum(name)
end

local over = redis.call('ZRANGEBYSCORE', key('slots'), '-inf', moment, 'LIMIT', 0, most)
for _, slot in ipairs(over) do
    redis.call('UNLINK', slot)
    redis.call('ZREM', key('slots'), slot)
end
return #data + #over
