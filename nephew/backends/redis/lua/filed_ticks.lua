--! uses ticks
-- Ticks of which nothing will change any more and that are not archived yet, the first one first.
--
-- ARGV: the most.
-- Returns of each its schedule, and how it is stored, false if it is gone.
-- Reads filed, ticks:<schedule>.

local reply = {}
for _, told in ipairs(redis.call('ZRANGE', key('filed'), 0, ARGV[1] - 1)) do
    local due, schedule = string.match(told, '^(%S+) (.*)$')
    local tick = tick_at(schedule, due)
    reply[#reply + 1] = told
    reply[#reply + 1] = tick and cjson.encode(tick) or false
end
return reply
