--! uses schedules
-- What is stored of one schedule.
--
-- ARGV: its name.
-- Returns each thing that there is of schedules (see lib/schedules.lua), or nil.
-- Reads plan:<what>.

local reply = {}
for i, what in ipairs(WHATS) do
    reply[i] = of_schedule(what, ARGV[1])
end
return reply
