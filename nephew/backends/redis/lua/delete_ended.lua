--! uses job, ends, drop, ticks
-- Delete jobs that have ended, with all that belongs to them.
--
-- ARGV: places.
-- Returns how many there were, still ended.
-- Reads slots, related; writes open, ticks:<schedule>, ledgers, filed, turns, plan:<what>, jobs, marks, ended:<state>,
-- ends:<slot>, attempts:<id>, logs:<id>, kin:<id>, members:<chord>,
-- chord:<chord>, callbacks, revoked, data_until.

local gone = {}
for _, place in ipairs(ARGV) do
    for _, state in ipairs(ENDED) do
        for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('ended', state), place, place)) do
            gone[#gone + 1] = id
        end
    end
end
close_ticks_of(gone)  -- how the job of a tick has ended would be forgotten with it
drop(gone)
return #gone
