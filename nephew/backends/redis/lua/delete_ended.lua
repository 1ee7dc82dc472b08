--! uses job, ends, drop
-- Delete jobs that have ended, with all that belongs to them.
--
-- ARGV: places.
-- Returns how many there were, still ended.
-- Writes, by id, ended:<state>, jobs, marks, attempts:<id>, logs:<id>, ends:<slot>, revoked, chord:<chord>, kin:<id>.

local gone = {}
for _, place in ipairs(ARGV) do
    for _, state in ipairs(ENDED) do
        for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('ended', state), place, place)) do
            gone[#gone + 1] = id
        end
    end
end
drop(gone)
return #gone
