--! uses job, claims, events, workers, running
-- Note the only begin of a job.
--
-- ARGV: worker, place, claim, since when, most events kept.
-- Returns 1; 0 when the claim does not hold.
-- Reads held:<worker>, jobs, marks, workers, followed; writes running, once, event, events; tells `ended`.

local id = held_at(ARGV[1], ARGV[2], ARGV[3])
if not id then
    return 0
end
local event = begin(ARGV[1], id, ARGV[4])
redis.call('SADD', key('once'), id)
tell_events({event}, ARGV[5], now())
return 1
