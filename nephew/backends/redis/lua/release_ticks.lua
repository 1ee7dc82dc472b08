--! uses ticks
-- Waiting ticks whose turn has come.
--
-- ARGV: the most ticks.
-- Returns schedule and due time of each.
-- Reads turns, plan:<what>, open:<schedule>, jobs, marks, ended:<state>, scheduled, retrying, parked, workers,
-- held:<worker>, running.

local reply = {}
for _, schedule in ipairs(redis.call('SMEMBERS', key('turns'))) do
    if #reply < 2 * tonumber(ARGV[1]) and not of_schedule('paused_at', schedule) and not unfinished_of(schedule) then
        reply[#reply + 1] = schedule
        reply[#reply + 1] = redis.call('ZRANGE', key('turns', schedule), 0, 0)[1]
    end
end
return reply
