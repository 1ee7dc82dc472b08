--! uses ticks
-- Forget ticks that are archived, but for the latest of each schedule.
--
-- ARGV: how many of a schedule are left here, then what each is called in `filed`.
-- Reads ticks:<schedule>; writes filed, ticks:<schedule>.

local left, schedules = tonumber(ARGV[1]), {}
for i = 2, #ARGV do
    redis.call('ZREM', key('filed'), ARGV[i])
    schedules[string.match(ARGV[i], '^%S+ (.*)$')] = true
end
for schedule in pairs(schedules) do
    local ticks, gone = key('ticks', schedule), {}
    local excess = redis.call('ZCARD', ticks) - left
    for _, member in ipairs(excess > 0 and redis.call('ZRANGE', ticks, 0, excess - 1) or {}) do
        local tick = tick_of(member)
        if is_final(tick) and not redis.call('ZSCORE', key('filed'), filed_as(schedule, tick)) then
            gone[#gone + 1] = member
        end
    end
    many('ZREM', ticks, gone)
end
