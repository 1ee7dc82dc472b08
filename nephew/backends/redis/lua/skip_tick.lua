--! uses ticks
-- Skip a waiting tick.
--
-- ARGV: schedule, due, why.
-- Returns whether it waited.
-- Reads ticks:<schedule>; writes ticks:<schedule>, ledgers, filed, open, turns.

local schedule, due, reason = ARGV[1], ARGV[2], ARGV[3]
local tick, before = tick_at(schedule, due)
if not tick or tick[FATE] ~= 'waiting' then
    return 0
end
tick[FATE], tick[REASON] = 'skipped', reason
write_tick(schedule, tick, before)
leave_turns(schedule, due)
return 1
