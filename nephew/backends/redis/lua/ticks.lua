--! uses ticks
-- The ledger of a schedule, the latest tick first.
--
-- ARGV: schedule, the most ticks, before which moment they are due ('+inf': all).
-- Returns of each tick how it is stored, and the present state of its job, where there is one and it has not ended.
-- Reads ticks:<schedule>, jobs, marks, ended:<state>, scheduled, retrying, parked, workers, held:<worker>, running.

local schedule, limit, before = ARGV[1], ARGV[2], ARGV[3]
local reply = {}
for _, member in ipairs(redis.call(
    'ZREVRANGEBYSCORE', key('ticks', schedule), '(' .. before, '-inf', 'LIMIT', 0, limit
)) do
    local tick = tick_of(member)
    reply[#reply + 1] = cjson.encode(tick)
    reply[#reply + 1] = tick[STATE] == '' and tick[FATE] == 'enqueued' and locate(tick[JOB]) or false
end
return reply
