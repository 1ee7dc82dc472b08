--! uses job, ends, data
-- Delete what is over: data, ticks that are long past (but never a schedule's last one), ends and results that have
-- been kept for long enough.
--
-- ARGV: the most of each; seconds that ticks are kept.
-- Returns how many.
-- Reads schedules; writes data, revoked, data_until, ticks:<schedule>, slots, ends:<slot>.

local most, moment = tonumber(ARGV[1]), now()
local data = redis.call('ZRANGEBYSCORE', key('data_until'), '-inf', moment, 'LIMIT', 0, most)
for _, name in ipairs(data) do
    drop_datum(name)
end

local past, ticks_gone = tonumber(moment) - tonumber(ARGV[2]), 0
for _, schedule in ipairs(redis.call('SMEMBERS', key('schedules'))) do
    local ticks = key('ticks', schedule)
    local old = math.min(redis.call('ZCOUNT', ticks, '-inf', '(' .. past), redis.call('ZCARD', ticks) - 1)
    old = math.min(old, most - ticks_gone)
    if old > 0 then
        ticks_gone = ticks_gone + redis.call('ZREMRANGEBYRANK', ticks, 0, old - 1)
    end
end

local over = redis.call('ZRANGEBYSCORE', key('slots'), '-inf', moment, 'LIMIT', 0, most)
for _, slot in ipairs(over) do
    redis.call('UNLINK', slot)
    redis.call('ZREM', key('slots'), slot)
end
return #data + ticks_gone + #over
