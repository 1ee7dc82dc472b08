--! uses ticks
-- Delete ticks that are over, and were written too long ago or are too many.
--
-- ARGV: before which moment they were written, how many of a schedule are kept, the most ticks; then schedules.
-- Returns how many.
-- Reads ticks:<schedule>; writes filed, ticks:<schedule>, ledgers.

local before, most, limit, gone = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), 0
-- So many are looked at together.
local SOME = 50

local function prune(schedule)
    local ticks, first = key('ticks', schedule), 0
    local excess, past = redis.call('ZCARD', ticks) - most, {}
    repeat
        local members, young = redis.call('ZRANGE', ticks, first, first + SOME - 1), false
        for i, member in ipairs(members) do
            local tick = tick_of(member)
            young = first + i > excess and tonumber(tick[WRITTEN]) >= before
            if young or gone + #past >= limit then
                break
            elseif is_final(tick) then
                past[#past + 1] = member
                redis.call('ZREM', key('filed'), filed_as(schedule, tick))
            end
        end
        first = first + SOME
    until young or #members < SOME or gone + #past >= limit
    gone = gone + many('ZREM', ticks, past)
    if redis.call('EXISTS', ticks) == 0 then
        redis.call('SREM', key('ledgers'), schedule)
    end
end

for i = 4, #ARGV do
    if gone < limit then
        prune(ARGV[i])
    end
end
return gone
