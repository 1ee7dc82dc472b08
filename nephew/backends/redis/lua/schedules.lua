--! uses schedules
-- What is stored of all schedules.
--
-- Returns the version of control, then of each thing that there is of schedules (see lib/schedules.lua) its hash.
-- Reads control, plan:<what>.

local reply = {redis.call('GET', key('control')) or '0'}
for i, what in ipairs(WHATS) do
    reply[i + 1] = redis.call('HGETALL', key('plan', what))
end
return reply
