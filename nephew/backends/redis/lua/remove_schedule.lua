--! uses ticks
-- Forget a schedule, all but its ledger; what waits there is skipped.
--
-- ARGV: schedule, why.
-- Returns whether it was known.
-- Reads turns; writes plan:<what>, control, ticks:<schedule>, ledgers, filed, open, turns; tells `wake`.

local schedule, reason = ARGV[1], ARGV[2]
for _, due in ipairs(redis.call('ZRANGE', key('turns', schedule), 0, -1)) do
    local tick, before = tick_at(schedule, due)
    tick[FATE], tick[REASON] = 'skipped', reason
    write_tick(schedule, tick, before)
    leave_turns(schedule, due)
end
if not of_schedule('seen', schedule) then
    return 0
end
for _, what in ipairs(WHATS) do
    set_of_schedule(what, schedule, '')
end
control_changed()
return 1
